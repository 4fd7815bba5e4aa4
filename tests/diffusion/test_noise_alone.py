"""Models that predict noise alone: Stable Diffusion's schedule and loss."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from dmp.data.stream import Batch
from dmp.diffusion import Diffusion, alphas_cumprod, guided
from dmp.errors import DMPError
from dmp.training import Objective

SHAPE = (4, 3, 3)
ALONE = Diffusion("scaled-linear", learned_variance=False)


def scheduler() -> DDPMScheduler:
    """Stable Diffusion v1.5's, as its scheduler_config.json has it."""
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def model(x: Tensor, t: Tensor) -> Tensor:
    return torch.tanh(0.7 * x + t[:, None, None, None] / 1000)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Return images, noise and timesteps."""
    return draw(5, *SHAPE), draw(1, 5, *SHAPE)[0], torch.tensor([0, 10, 300, 800, 999])


def test_schedule_is_that_of_stable_diffusion():
    theirs = scheduler().alphas_cumprod.numpy()
    np.testing.assert_allclose(theirs, alphas_cumprod("scaled-linear", 1000), rtol=1e-4)


def test_noisy_images_are_those_of_diffusers():
    x, noise, t = drawn()
    expected = scheduler().add_noise(x, noise, t)
    torch.testing.assert_close(ALONE.add_noise(x, noise, t), expected, rtol=1e-4, atol=1e-5)


def test_loss_is_the_squared_error_of_the_noise_and_nothing_else():
    x, noise, t = drawn()
    noisy = ALONE.add_noise(x, noise, t)
    losses = ALONE.losses(model(noisy, t), x, noisy, noise, t)
    for image in range(5):
        expected = nn.functional.mse_loss(model(noisy, t)[image], noise[image])
        torch.testing.assert_close(losses.mse[image], expected)
    assert losses.vb is None


def test_guidance_mixes_noise_where_there_is_nothing_else():
    x, t = draw(2, *SHAPE), torch.tensor([5, 5])

    def labelled(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return model(x, t) * (1 + y[:, None, None, None])

    found = guided(labelled, torch.tensor([1, 2]), torch.tensor([0, 0]), 7.5)(x, t)
    free = model(x, t)
    told = free * torch.tensor([2.0, 3.0])[:, None, None, None]
    torch.testing.assert_close(found, free + 7.5 * (told - free))


class Noise(nn.Module):
    """Predicts C channels."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.scale * x


def test_training_minimises_the_squared_error_alone():
    x, noise, t = drawn()
    batch = Batch(x, torch.zeros(5, dtype=torch.int64), t, noise)
    terms = Objective(Noise(), ALONE, None, "simple")(batch)
    expected = nn.functional.mse_loss(0.5 * ALONE.add_noise(x, noise, t), noise)
    torch.testing.assert_close(terms.total, expected)
    assert terms.vb is None
    with pytest.raises(DMPError, match=r"training.loss = hybrid .* accepted: simple"):
        Objective(Noise(), ALONE, None)


@pytest.mark.parametrize(("learned", "channels"), [(True, 4), (False, 8)])
def test_model_with_other_channels_is_refused(learned, channels):
    x, t = draw(2, *SHAPE), torch.tensor([0, 1])
    diffusion = Diffusion("linear", learned_variance=learned)
    with pytest.raises(DMPError, match=f"predicts {channels} channels of images with 4"):
        diffusion.losses(torch.zeros(2, channels, 3, 3), x, x, x, t)
