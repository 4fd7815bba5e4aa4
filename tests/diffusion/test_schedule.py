"""The noise schedules, and the tables that losses and sampling make of them."""

import numpy as np
import pytest

from dmp.diffusion import Diffusion, alphas_cumprod
from dmp.diffusion.schedule import SCHEDULES, tables
from dmp.errors import DMPError

T = 1000


def closed_form(schedule: str) -> np.ndarray:
    """Return alpha-bar in double precision, by sums of logarithms or without any product.

    That of Nichol and Dhariwal telescopes to f(t + 1) / f(0) below the cap of beta at 0.999; those
    of Ho et al. and of Stable Diffusion have even steps of beta and of its root.
    """
    t = np.arange(T)
    if schedule == "cosine":
        f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
        assert np.flatnonzero(1 - f[1:] / f[:-1] > 0.999).tolist() == [999]
        return np.append(f[1:-1] / f[0], f[-2] / f[0] * 0.001)
    first, last = {"linear": (1e-4, 0.02), "scaled-linear": (0.00085**0.5, 0.012**0.5)}[schedule]
    beta = first + (last - first) * t / (T - 1)
    return np.exp(np.cumsum(np.log1p(-(beta if schedule == "linear" else beta**2))))


@pytest.mark.parametrize(("schedule", "last"), [("linear", 4e-5), ("scaled-linear", 0.0047)])
def test_signal_that_the_last_step_leaves_is_the_known_one(schedule, last):
    assert alphas_cumprod(schedule, T)[-1] == pytest.approx(last, rel=0.02)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_is_the_closed_form_and_only_ever_adds_noise(schedule):
    bar, actual = closed_form(schedule), alphas_cumprod(schedule, T)
    np.testing.assert_allclose(actual, bar, rtol=1e-12 if schedule == "linear" else 1e-10)
    assert np.all(np.diff(actual) < 0)
    assert 0 < actual[-1] < actual[0] < 1
    for found, expected in (
        (tables(bar).signal, np.exp(0.5 * np.log(bar))),
        (Diffusion(schedule)._signal, np.exp(0.5 * np.log(bar))),
        (Diffusion(schedule)._noise, np.exp(0.5 * np.log1p(-bar))),
    ):
        np.testing.assert_allclose(np.asarray(found, float), expected, rtol=1e-7)


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


def test_unknown_schedule_names_the_nearest():
    message = (
        r"diffusion.schedule: unknown 'cosin': did you mean 'cosine'\? accepted: cosine, linear"
    )
    with pytest.raises(DMPError, match=message):
        alphas_cumprod("cosin", T)
