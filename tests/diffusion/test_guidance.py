"""Classifier-free guidance on a model whose predictions are plain numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dmp.diffusion import guided

NULL = 9
LABELS, NULLS = torch.tensor([2, 5, 2]), torch.full((3,), NULL)


class Toy:
    """Each channel predicts a number that image, timestep, label and channel decide; it counts."""

    def __init__(self, channels: int = 4) -> None:
        self.channels, self.calls = channels, []

    def value(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        channel = torch.arange(2 * self.channels, dtype=torch.float64).reshape(1, -1, 1, 1)
        factor = (labels * (channel.flatten()[:, None] + 1)).T[..., None, None]
        return factor + torch.cat([x, -x], dim=1) + t.reshape(-1, 1, 1, 1) / 1000

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.calls.append((x, t, labels))
        return self.value(x, t, labels)


def make_inputs(channels: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, channels, 2, 2, generator=generator, dtype=torch.float64)
    return x, torch.tensor([7, 7, 7])


@pytest.mark.parametrize(("channels", "count"), [("all", 4), ("first-three", 3)])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.5, 4.0])
def test_guided_noise_goes_from_the_null_prediction_through_the_conditional(channels, count, scale):
    toy, (x, t) = Toy(), make_inputs()
    actual = guided(toy, LABELS, NULLS, scale, channels)(x, t)
    conditional, unconditional = toy.value(x, t, LABELS), toy.value(x, t, NULLS)
    expected = (1 - scale) * unconditional + scale * conditional
    torch.testing.assert_close(actual[:, :count], expected[:, :count], rtol=1e-12, atol=1e-12)
    # What is not guided, the variance above all, is that of the condition.
    assert torch.equal(actual[:, count:], conditional[:, count:])
    assert actual.shape == (3, 8, 2, 2)


def test_one_call_sees_condition_and_null_on_the_same_images():
    toy, (x, t) = Toy(), make_inputs()
    guided(toy, LABELS, NULLS, 1.5)(x, t)
    ((images, timesteps, labels),) = toy.calls
    assert torch.equal(images, torch.cat([x, x]))
    assert torch.equal(timesteps, torch.cat([t, t]))
    assert labels.tolist() == [2, 5, 2, NULL, NULL, NULL]


@pytest.mark.parametrize("channels", ["all", "first-three"])
def test_scale_1_is_one_call_without_doubling(channels):
    toy, (x, t) = Toy(), make_inputs()
    actual = guided(toy, LABELS, NULLS, 1.0, channels)(x, t)
    ((images, _, labels),) = toy.calls
    assert images is x
    assert labels is LABELS
    assert torch.equal(actual, toy.value(x, t, LABELS))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_first_three_never_reaches_the_variance(channels):
    """Pixels have at most three channels: there, the two modes are one."""
    x, t = make_inputs(channels)
    three = guided(Toy(channels), LABELS, NULLS, 2.0, "first-three")(x, t)
    assert torch.equal(three, guided(Toy(channels), LABELS, NULLS, 2.0, "all")(x, t))
    variance = Toy(channels).value(x, t, LABELS)[:, channels:]
    assert torch.equal(three[:, channels:], variance)


@settings(max_examples=50, deadline=None)
@given(scale=st.floats(0, 10), channels=st.sampled_from(["all", "first-three"]))
def test_guidance_without_a_condition_changes_nothing(scale, channels):
    x, t = make_inputs()
    actual = guided(Toy(), NULLS, NULLS, scale, channels)(x, t)
    torch.testing.assert_close(actual, Toy().value(x, t, NULLS), rtol=1e-12, atol=1e-12)
