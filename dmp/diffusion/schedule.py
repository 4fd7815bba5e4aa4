"""Noise schedules, and what the losses and the sampler need of them: tables in float64."""

import math
from typing import NamedTuple, Self

import numpy as np

from dmp.config import nearest
from dmp.errors import DMPError

SCHEDULES = ("linear", "cosine", "scaled-linear")


def alphas_cumprod(schedule: str, timesteps: int) -> np.ndarray:
    r"""Return :math:`\bar\alpha_t` for t = 0 ... T-1, in float64.

    Linear: :math:`\beta` from 1e-4 to 0.02 at T = 1000 (Ho et al. 2020). Cosine: Nichol & Dhariwal
    2021, Eq. 17, with :math:`\beta` capped at 0.999. Scaled linear: :math:`\sqrt\beta` in even
    steps from that of 0.00085 to that of 0.012, as Stable Diffusion 1 was trained.

    Raises:
        DMPError: unknown schedule.
    """
    if schedule == "linear":
        betas = np.linspace(1e-4, 0.02, timesteps, dtype=np.float64)
    elif schedule == "scaled-linear":
        first, last = np.sqrt((0.00085, 0.012))
        betas = np.linspace(first, last, timesteps, dtype=np.float64) ** 2
    elif schedule == "cosine":

        def bar(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        steps = range(timesteps)
        ratios = [bar((i + 1) / timesteps) / bar(i / timesteps) for i in steps]
        betas = np.array([min(1 - ratio, 0.999) for ratio in ratios])
    else:
        raise DMPError(f"diffusion.schedule: unknown '{schedule}': {nearest(schedule, SCHEDULES)}")
    return np.cumprod(1 - betas)


class Tables(NamedTuple):
    r"""Numbers of the steps from x at a timestep t to x at the less noisy timestep before it.

    All are ``(n,)`` float64, and of NumPy: torch leaves square roots to a vector library, which
    rounds their last bit in another way on another processor.

    Attributes:
        signal: :math:`\sqrt{\bar\alpha_t}`.
        noise: :math:`\sqrt{1-\bar\alpha_t}`.
        posterior_x0: what the posterior's mean has of x0 (Ho et al. 2020, Eq. 7).
        posterior_xt: what it has of x at t.
        posterior_log: logarithm of its variance; the first one is 0, of which there is none, and
            as in the reference practice the second stands in.
        beta_log: logarithm of the variance that the step of the forward process has.
    """

    signal: np.ndarray
    noise: np.ndarray
    posterior_x0: np.ndarray
    posterior_xt: np.ndarray
    posterior_log: np.ndarray
    beta_log: np.ndarray

    def at(self, place: int) -> Self:
        """Return the numbers of one step, as floats that no device has to wait for."""
        return self._make(float(values[place]) for values in self)


def tables(bar: np.ndarray) -> Tables:
    r"""Return the tables of ``(n,)`` values of :math:`\bar\alpha`, from little noise to much.

    Args:
        bar: :math:`\bar\alpha_t` of all timesteps, or of those that a sampler takes; n >= 2.
    """
    before = np.concatenate([[1.0], bar[:-1]])
    beta = 1 - bar / before
    posterior = beta * (1 - before) / (1 - bar)
    return Tables(
        signal=np.sqrt(bar),
        noise=np.sqrt(1 - bar),
        posterior_x0=beta * np.sqrt(before) / (1 - bar),
        posterior_xt=(1 - before) * np.sqrt(1 - beta) / (1 - bar),
        posterior_log=np.log(np.concatenate([posterior[1:2], posterior[1:]])),
        beta_log=np.log(beta),
    )
