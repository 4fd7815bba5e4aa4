"""The held-out denoising loss, on the same (image, timestep, noise) triples for every model.

FID at a few thousand samples moves by many percent from one sampling seed to the next. This loss
is cheap, and since all models see identical triples, their differences are nearly free of noise.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from dmp.data.images import to_model
from dmp.data.registry import Images
from dmp.diffusion import Diffusion
from dmp.rng import generator

BATCH = 256  # triples at once


class DenoisingLosses(NamedTuple):
    """Losses of n triples, in the same order for every model.

    Attributes:
        timesteps: ``(n,)`` int64.
        mse: ``(n,)`` float64, squared error of the predicted noise, averaged over pixels.
        vb: ``(n,)`` float64, the timestep's term of the variational bound in bits per dimension;
            None where no variance is learned.
    """

    timesteps: np.ndarray
    mse: np.ndarray
    vb: np.ndarray | None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what there is, by name."""
        return {name: values for name, values in self._asdict().items() if values is not None}


@torch.no_grad()
def denoising_losses(
    backbone: nn.Module,
    diffusion: Diffusion,
    data: Images,
    timesteps_per_image: int,
    device: str,
    batch_size: int = BATCH,
) -> DenoisingLosses:
    """Return the losses of each held-out image at ``timesteps_per_image`` timesteps.

    The timesteps of an image are stratified: one from each of equally wide intervals, so that every
    model is judged on all noise levels alike.

    Args:
        backbone: maps ``(x_t, t, labels)`` to noise, and to variance where ``diffusion`` learns
            one; a patch may be attached.
        diffusion: the forward process and its losses.
        data: images that no model has trained on.
        timesteps_per_image: how many triples an image gives.
        batch_size: triples at once; it does not change which triples there are.
    """
    backbone.eval()
    count, draws = len(data.images), timesteps_per_image
    edges = np.linspace(0, diffusion.timesteps, draws + 1)
    timesteps, noise = [], []
    for index in range(count):
        source = generator(0, "held-out triples", index)
        timesteps.append((edges[:-1] + source.random(draws) * np.diff(edges)).astype(np.int64))
        noise.append(source.standard_normal((draws, *data.images.shape[1:]), dtype=np.float32))
    all_timesteps = torch.from_numpy(np.concatenate(timesteps))
    all_noise = torch.from_numpy(np.concatenate(noise))
    rows = torch.arange(count).repeat_interleave(draws)
    images = to_model(torch.from_numpy(data.images))
    labels = torch.from_numpy(data.labels)
    mse, vb = [], []
    for part in torch.arange(len(rows)).split(batch_size):
        x, y = images[rows[part]].to(device), labels[rows[part]].to(device)
        t, e = all_timesteps[part].to(device), all_noise[part].to(device)
        noisy = diffusion.add_noise(x, e, t)
        losses = diffusion.losses(backbone(noisy, t, y).float(), x, noisy, e, t)
        mse.append(losses.mse.double().cpu())
        if losses.vb is not None:
            vb.append(losses.vb.double().cpu())
    bound = torch.cat(vb).numpy() if diffusion.learned_variance else None
    return DenoisingLosses(all_timesteps.numpy(), torch.cat(mse).numpy(), bound)
