"""The noise schedules of the two papers, and the timesteps that sampling takes of them."""

import numpy as np
import pytest
from diffusers import DDPMScheduler

from dmp.diffusion import Diffusion, alphas_cumprod, make_scheduler
from dmp.diffusion.schedule import SCHEDULES, tables
from dmp.errors import DMPError

T = 1000


def test_linear_schedule_is_that_of_ho_et_al():
    t = np.arange(T)
    beta = 1e-4 + (0.02 - 1e-4) * t / 999
    expected = np.exp(np.cumsum(np.log1p(-beta)))
    np.testing.assert_allclose(alphas_cumprod("linear", T), expected, rtol=1e-12)
    assert expected[-1] == pytest.approx(4.0e-5, rel=0.02)  # almost no signal is left


def test_cosine_schedule_is_that_of_nichol_and_dhariwal():
    """Below the cap of 0.999, the product of ratios telescopes to f(t + 1) / f(0)."""
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    bar = f[1:] / f[0]
    before = f[:-1] / f[0]
    capped = 1 - bar / before > 0.999
    assert np.flatnonzero(capped).tolist() == [999]
    actual = alphas_cumprod("cosine", T)
    np.testing.assert_allclose(actual[:-1], bar[:-1], rtol=1e-10)
    assert actual[-1] == pytest.approx(bar[-2] * 0.001, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("timesteps", [10, T])
def test_losses_and_sampling_share_one_schedule(schedule, timesteps):
    ours = alphas_cumprod(schedule, timesteps)
    assert ours.dtype == np.float64
    assert ours.shape == (timesteps,)
    theirs = make_scheduler(schedule, timesteps, clip=False).alphas_cumprod.numpy()
    np.testing.assert_array_equal(theirs, ours)


def closed_form(schedule: str) -> np.ndarray:
    """Return alpha-bar in double precision, by sums of logarithms or without any product."""
    t = np.arange(T)
    if schedule == "cosine":
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.append(f[1:-1] / f[0], f[-2] / f[0] * 0.001)
    first, last = {"linear": (1e-4, 0.02), "scaled-linear": (0.00085**0.5, 0.012**0.5)}[schedule]
    beta = first + (last - first) * t / (T - 1)
    return np.exp(np.cumsum(np.log1p(-(beta if schedule == "linear" else beta**2))))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_sampling_and_losses_use_is_the_closed_form_to_seven_digits(schedule):
    bar = closed_form(schedule)
    scheduler = make_scheduler(schedule, T, clip=False)
    before = np.append(1, bar[:-1])
    for theirs, expected in (
        (scheduler.alphas_cumprod, bar),
        (scheduler.alphas, bar / before),
        (tables(bar).signal, np.exp(0.5 * np.log(bar))),
        (Diffusion(schedule)._signal, np.exp(0.5 * np.log(bar))),
        (Diffusion(schedule)._noise, np.exp(0.5 * np.log1p(-bar))),
    ):
        np.testing.assert_allclose(np.asarray(theirs, float), expected, rtol=1e-7)


@pytest.mark.parametrize("steps", [2, 20, 250])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_tables_of_respaced_steps_are_bayes_rule(schedule, steps):
    """A prior N(√before x0, 1 - before), seen through one step; in logarithms where they cancel."""
    bar = closed_form(schedule)[np.linspace(0, T - 1, steps).round().astype(int)]
    found = tables(bar)
    before = np.append(1, bar[:-1])
    beta = -np.expm1(np.log(bar) - np.log(before))
    np.testing.assert_allclose(found.beta_log, np.log(beta), rtol=0, atol=1e-7)
    precision = 1 / (1 - before[1:]) + (1 - beta[1:]) / beta[1:]
    np.testing.assert_allclose(found.posterior_log[1:], -np.log(precision), rtol=0, atol=1e-7)
    np.testing.assert_allclose(
        found.posterior_x0[1:], np.sqrt(before[1:]) / (1 - before[1:]) / precision, rtol=1e-7
    )
    np.testing.assert_allclose(
        found.posterior_xt[1:], np.sqrt(1 - beta[1:]) / beta[1:] / precision, rtol=1e-7
    )
    assert (found.posterior_x0[0], found.posterior_xt[0]) == (1, 0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_only_ever_adds_noise(schedule):
    bar = alphas_cumprod(schedule, T)
    assert np.all(np.diff(bar) < 0)
    assert 0 < bar[-1] < bar[0] < 1


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_250_of_1000_steps_are_evenly_spaced_with_both_ends(schedule):
    scheduler = make_scheduler(schedule, T, clip=False)
    scheduler.set_timesteps(250)
    expected = [round(i * 999 / 249) for i in range(250)]
    assert scheduler.timesteps.tolist() == expected[::-1]
    assert (expected[0], expected[-1]) == (0, 999)
    assert len(set(expected)) == 250


def test_scheduler_samples_with_learned_range_variance_of_predicted_noise():
    for clip in (True, False):
        scheduler = make_scheduler("linear", T, clip)
        assert isinstance(scheduler, DDPMScheduler)
        config = scheduler.config
        assert (config.variance_type, config.prediction_type) == ("learned_range", "epsilon")
        assert (config.clip_sample, config.clip_sample_range) == (clip, 1.0)


@pytest.mark.parametrize(
    "use", [lambda name: alphas_cumprod(name, T), lambda name: make_scheduler(name, T, clip=True)]
)
def test_unknown_schedule_names_the_nearest(use):
    message = (
        r"diffusion.schedule: unknown 'cosin': did you mean 'cosine'\? accepted: cosine, linear"
    )
    with pytest.raises(DMPError, match=message):
        use("cosin")
