"""Ancestral sampling in which each sample has a source of noise of its own."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dmp.diffusion.losses import Diffusion
from dmp.diffusion.schedule import alphas_cumprod, tables
from dmp.errors import DMPError


@torch.no_grad()
def sample(
    diffusion: Diffusion,
    model: Callable[[Tensor, Tensor], Tensor],
    shape: tuple[int, int, int],
    generators: Sequence[np.random.Generator],
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

    Returns:
        ``(B, C, H, W)`` float32.

    Raises:
        DMPError: fewer than 2 steps, or more than T.
    """
    if not 2 <= steps <= diffusion.timesteps:
        raise DMPError(f"sampling.steps = {steps}: accepted are 2 to {diffusion.timesteps}")
    # Both ends are among them, as in diffusers' ``linspace`` spacing: the paper's 250 of 1000.
    taken = np.linspace(0, diffusion.timesteps - 1, steps).round().astype(int).tolist()
    numbers = tables(alphas_cumprod(diffusion.schedule, diffusion.timesteps)[taken])
    sources = list(generators)

    def draw() -> Tensor:
        noise = np.empty((len(sources), *shape), np.float32)
        for row, source in zip(noise, sources, strict=True):
            source.standard_normal(dtype=np.float32, out=row)
        return torch.from_numpy(noise).to(device)

    # The steps are those of diffusers' `DDPMScheduler`, which cannot take them here: it draws from
    # torch's generators, which keep 32 bits of a seed, and it takes square roots of tensors, whose
    # last bit depends on the processor.
    x = draw()
    for place in reversed(range(steps)):
        now = numbers.at(place)
        output = model(x, torch.full((len(sources),), taken[place], device=device)).float()
        epsilon, position = output.chunk(2, dim=1) if diffusion.learned_variance else (output, None)
        predicted = (x - now.noise * epsilon) / now.signal
        if clip:
            predicted = predicted.clamp(-1, 1)
        x = now.posterior_x0 * predicted + now.posterior_xt * x
        if place == 0:
            break  # the last step adds no noise
        if position is None:
            x = x + math.exp(0.5 * now.posterior_log) * draw()
        else:
            share = (position + 1) / 2
            log_variance = share * now.beta_log + (1 - share) * now.posterior_log
            x = x + torch.exp(0.5 * log_variance) * draw()
    return x
