"""Noise schedules: in float64 for the losses, and as diffusers' scheduler for sampling."""

import math

import numpy as np
from diffusers import DDPMScheduler

from dmp.config import nearest
from dmp.errors import DMPError

# The names that diffusers has for them.
SCHEDULES = {
    "linear": "linear",
    "cosine": "squaredcos_cap_v2",
    "scaled-linear": "scaled_linear",
}
# The first and the last beta, where a schedule is made from those.
LINEAR = (1e-4, 0.02)
SCALED_LINEAR = (0.00085, 0.012)


def alphas_cumprod(schedule: str, timesteps: int) -> np.ndarray:
    r"""Return :math:`\bar\alpha_t` for t = 0 ... T-1, in float64.

    Linear: :math:`\beta` from 1e-4 to 0.02 at T = 1000 (Ho et al. 2020). Cosine: Nichol & Dhariwal
    2021, Eq. 17, with :math:`\beta` capped at 0.999. Scaled linear: :math:`\sqrt\beta` in even
    steps from that of 0.00085 to that of 0.012, as Stable Diffusion 1 was trained.

    Raises:
        DMPError: unknown schedule.

    """
    if schedule == "linear":
        betas = np.linspace(*LINEAR, timesteps, dtype=np.float64)
    elif schedule == "scaled-linear":
        first, last = np.sqrt(SCALED_LINEAR)
        betas = np.linspace(first, last, timesteps, dtype=np.float64) ** 2
    elif schedule == "cosine":

        def bar(u: float) -> float:
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

        steps = range(timesteps)
        ratios = [bar((i + 1) / timesteps) / bar(i / timesteps) for i in steps]
        betas = np.array([min(1 - ratio, 0.999) for ratio in ratios])
    else:
        raise _unknown(schedule)
    return np.cumprod(1 - betas)


def make_scheduler(
    schedule: str, timesteps: int, clip: bool, learned_variance: bool = True
) -> DDPMScheduler:
    """Return diffusers' ancestral sampler.

    Its ``linspace`` spacing takes steps evenly from 0 to T-1, both included: the paper's 250 of
    1000. Its variances follow the respaced betas.

    Args:
        schedule: see :func:`alphas_cumprod`.
        timesteps: T.
        clip: whether to keep the predicted image within [-1, 1].
        learned_variance: whether the model says where in its range the variance is; otherwise it
            is the smaller end of that range, the posterior's.

    Raises:
        DMPError: unknown schedule.

    """
    if schedule not in SCHEDULES:
        raise _unknown(schedule)
    first, last = SCALED_LINEAR if schedule == "scaled-linear" else LINEAR
    return DDPMScheduler(
        num_train_timesteps=timesteps,
        beta_start=first,
        beta_end=last,
        beta_schedule=SCHEDULES[schedule],
        variance_type="learned_range" if learned_variance else "fixed_small",
        timestep_spacing="linspace",
        clip_sample=clip,
    )


def _unknown(schedule: str) -> DMPError:
    return DMPError(f"diffusion.schedule: unknown '{schedule}': {nearest(schedule, SCHEDULES)}")
