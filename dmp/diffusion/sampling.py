"""Ancestral sampling in which each sample has a source of noise of its own."""

from collections.abc import Callable, Sequence

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from dmp.diffusion.losses import Diffusion
from dmp.diffusion.schedule import make_scheduler
from dmp.errors import DMPError


@torch.no_grad()
def sample(
    diffusion: Diffusion,
    model: Callable[[Tensor, Tensor], Tensor],
    shape: tuple[int, int, int],
    generators: Sequence[torch.Generator],
    steps: int,
    clip: bool,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Draw one image per generator, by DDPM steps evenly spaced from T-1 to 0.

    Args:
        diffusion: says schedule and T, and whether the variance is learned.
        model: maps ``x: (B, C, H, W)`` and ``t: (B,)`` to noise and variance ``(B, 2C, H, W)``;
            to the noise alone, ``(B, C, H, W)``, where ``diffusion`` learns no variance.
        shape: ``(C, H, W)``.
        generators: sample k takes all its noise, at the start and at every step, from the k-th:
            neither its neighbours nor the batch size matter.
        steps: number of DDPM steps.
        clip: whether to keep the predicted image within [-1, 1], as pixels are.
        device: where the model is.

    Returns:
        ``(B, C, H, W)`` float32.

    Raises:
        DMPError: fewer than 2 steps, or more than T.

    """
    if not 2 <= steps <= diffusion.timesteps:
        raise DMPError(f"sampling.steps = {steps}: accepted are 2 to {diffusion.timesteps}")
    scheduler = make_scheduler(
        diffusion.schedule, diffusion.timesteps, clip, diffusion.learned_variance
    )
    scheduler.set_timesteps(steps)
    sources = list(generators)
    x = randn_tensor((len(sources), *shape), generator=sources, device=torch.device(device))
    for t in scheduler.timesteps.tolist():
        output = model(x, torch.full((len(sources),), t, device=device)).float()
        x = scheduler.step(output, t, x, generator=sources).prev_sample
    return x
