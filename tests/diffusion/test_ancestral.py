"""Ancestral sampling, against the same steps in double precision and a case solved exactly."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from test_numerics import OnlyPortable
from torch import Tensor

from dmp.diffusion import Diffusion, alphas_cumprod, sample
from dmp.errors import DMPError
from dmp.rng import generator

T = 1000
SCHEDULES = ["linear", "cosine"]
SHAPE = (2, 3, 3)


def sources(numbers) -> list[np.random.Generator]:
    return [generator(0, "sampling", k) for k in numbers]


def respaced(schedule: str, steps: int) -> dict[int, tuple[float, float]]:
    """Return, for each timestep that is taken, alpha-bar there and at the next less noisy one."""
    bar = alphas_cumprod(schedule, T)
    taken = [round(i * (T - 1) / (steps - 1)) for i in range(steps)]
    return dict(zip(taken, zip(bar[taken], [1.0, *bar[taken[:-1]]], strict=True), strict=True))


class Recorder:
    """A smooth model of x and t, its images and predictions kept."""

    def __init__(self, learned: bool = True) -> None:
        self.learned = learned
        self.images, self.timesteps, self.outputs = [], [], []

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        output = torch.tanh(0.7 * x + t[0] / T)
        if self.learned:
            output = torch.cat([output, torch.sin(x)], dim=1)
        self.images.append(x)
        self.timesteps.append(t.tolist())
        self.outputs.append(output)
        return output


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("schedule", [*SCHEDULES, "scaled-linear"])
@pytest.mark.parametrize("steps", [2, 7, 250])
def test_every_step_is_the_respaced_posterior_with_its_own_or_the_learned_variance(
    schedule, clip, steps, learned
):
    model, batch = Recorder(learned), 3
    generators = sources(range(batch))
    actual = sample(Diffusion(schedule, T, learned), model, SHAPE, generators, steps, clip)

    again = sources(range(batch))

    def draw() -> np.ndarray:
        return np.stack([g.standard_normal(SHAPE, dtype=np.float32) for g in again]).astype(float)

    np.testing.assert_array_equal(model.images[0].numpy(), draw())
    table = respaced(schedule, steps)
    after = [*model.images[1:], actual]
    assert len(after) == steps
    for index, (t, (bar, before)) in enumerate(reversed(table.items())):
        assert model.timesteps[index] == [t] * batch
        x = model.images[index].double().numpy()
        epsilon, *position = np.split(model.outputs[index].double().numpy(), 1 + learned, axis=1)
        x0 = (x - np.sqrt(1 - bar) * epsilon) / np.sqrt(bar)
        if clip:
            x0 = x0.clip(-1, 1)
        beta = 1 - bar / before
        mean = np.sqrt(before) * beta * x0 + np.sqrt(bar / before) * (1 - before) * x
        expected = mean / (1 - bar)
        if t > 0:  # the last step adds no noise
            share = (position[0] + 1) / 2 if learned else 0.0
            tilde = beta * (1 - before) / (1 - bar)
            expected = expected + np.sqrt(beta**share * tilde ** (1 - share)) * draw()
        # The tables are float64; the images are float32.
        np.testing.assert_allclose(
            after[index].numpy(), expected, rtol=1e-5, atol=1e-6 * max(1, np.abs(expected).max())
        )
    # No source was asked for more than its start and one draw per step with noise.
    for used, expected_state in zip(generators, again, strict=True):
        assert used.random() == expected_state.random()


def scheduler(schedule: str, clip: bool, learned: bool) -> DDPMScheduler:
    """Return the sampler of diffusers, with tables in float64 and not in float32."""
    stable = schedule == "scaled-linear"
    found = DDPMScheduler(
        beta_start=0.00085 if stable else 1e-4,
        beta_end=0.012 if stable else 0.02,
        beta_schedule={"cosine": "squaredcos_cap_v2"}.get(schedule, schedule.replace("-", "_")),
        variance_type="learned_range" if learned else "fixed_small",
        timestep_spacing="linspace",
        clip_sample=clip,
    )
    bar = torch.from_numpy(alphas_cumprod(schedule, T))
    torch.testing.assert_close(found.alphas_cumprod.double(), bar, rtol=1e-4, atol=0)
    found.alphas_cumprod = bar
    found.alphas = bar / torch.cat([bar.new_ones(1), bar[:-1]])
    found.betas = 1 - found.alphas
    return found


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("schedule", [*SCHEDULES, "scaled-linear"])
def test_steps_are_those_of_diffusers_on_the_same_noise(monkeypatch, schedule, clip, learned):
    """But for the last bits, which the square roots of its tensors may have rounded otherwise."""
    diffusion, model = Diffusion(schedule, T, learned), Recorder(learned)
    actual = sample(diffusion, model, SHAPE, sources(range(3)), 20, clip)
    again = sources(range(3))

    def draw(*_, **__) -> Tensor:
        noise = [source.standard_normal(SHAPE, dtype=np.float32) for source in again]
        return torch.from_numpy(np.stack(noise))

    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", draw)
    theirs = scheduler(schedule, clip, learned)
    theirs.set_timesteps(20)
    x = draw()
    for t in theirs.timesteps:
        x = theirs.step(model(x, t.expand(3)), t, x).prev_sample
    torch.testing.assert_close(actual, x, rtol=1e-5, atol=1e-6 * float(x.abs().max()))


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("schedule", [*SCHEDULES, "scaled-linear"])
def test_no_operation_of_tables_and_steps_differs_between_processors(schedule, learned):
    def model(x: Tensor, t: Tensor) -> Tensor:
        return wild(x, t) if learned else x

    with OnlyPortable():
        diffusion = Diffusion(schedule, T, learned)
        sample(diffusion, model, SHAPE, sources(range(2)), 3, clip=True)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [10, 60])
def test_gaussian_data_is_sampled_with_its_mean_and_variance(schedule, steps):
    """For N(m, s²) noise and reverse variance are known, and then any number of steps is exact."""
    m, s, count = 0.3, 0.4, 400
    table = respaced(schedule, steps)

    def exact(x: Tensor, t: Tensor) -> Tensor:
        bar, before = table[int(t[0])]
        total = bar * s**2 + 1 - bar
        epsilon = np.sqrt(1 - bar) * (x.double() - np.sqrt(bar) * m) / total
        beta = 1 - bar / before
        # Var(x_before | x_t): the step is one Gaussian seen through another.
        variance = beta * (before * s**2 + 1 - before) / total
        low = np.log(max(beta * (1 - before) / (1 - bar), 1e-20))
        position = 2 * (np.log(variance) - low) / (np.log(beta) - low) - 1
        return torch.cat([epsilon, torch.full_like(epsilon, position)], dim=1).float()

    images = sample(Diffusion(schedule), exact, SHAPE, sources(range(count)), steps, clip=False)
    values = images.double().numpy().reshape(count, -1)
    n = values.size
    assert abs(values.mean() - m) < 4 * s / np.sqrt(n)
    assert abs(values.var() - s**2) < 4 * s**2 * np.sqrt(2 / n)
    # Neither pixels of an image nor images have anything in common.
    standard = (values - values.mean()) / values.std()
    within = (standard[:, 1:] * standard[:, :-1]).mean()
    between = (standard[1:] * standard[:-1]).mean()
    assert max(abs(within), abs(between)) < 4 / np.sqrt(n * 0.9)


def wild(x: Tensor, t: Tensor) -> Tensor:
    return torch.cat([50 * torch.sign(x), torch.zeros_like(x)], dim=1)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_clip_keeps_pixels_in_range_whatever_the_model_predicts(schedule):
    clipped, free = (
        sample(Diffusion(schedule), wild, SHAPE, sources(range(8)), 10, clip)
        for clip in (True, False)
    )
    # At the last step, the sample is the predicted image.
    assert clipped.abs().max() <= 1 + 1e-6
    assert free.abs().max() > 2


@settings(max_examples=25, deadline=None)
@given(cuts=st.sets(st.integers(1, 7)), schedule=st.sampled_from(SCHEDULES), clip=st.booleans())
def test_a_sample_does_not_depend_on_its_neighbours(cuts, schedule, clip):
    diffusion, count, steps = Diffusion(schedule), 8, 4
    whole = sample(diffusion, Recorder(), SHAPE, sources(range(count)), steps, clip)
    edges = [0, *sorted(cuts), count]
    for start, stop in pairwise(edges):
        model = Recorder()
        part = sample(diffusion, model, SHAPE, sources(range(start, stop)), steps, clip)
        torch.testing.assert_close(part, whole[start:stop], rtol=1e-4, atol=1e-4)


def test_no_gradients_are_kept():
    weight = torch.ones((), requires_grad=True)
    images = sample(
        Diffusion("linear"), lambda x, t: weight * wild(x, t), SHAPE, sources([0]), 3, clip=True
    )
    assert not images.requires_grad
    assert images.dtype == torch.float32


@pytest.mark.parametrize("steps", [1, 1001])
def test_impossible_number_of_steps_is_an_error(steps):
    with pytest.raises(DMPError, match=f"sampling.steps = {steps}: accepted are 2 to 1000"):
        sample(Diffusion("linear"), wild, SHAPE, sources([0]), steps, clip=True)
