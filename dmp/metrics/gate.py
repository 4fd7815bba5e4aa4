"""What the gate does over the timesteps: its weights, and how many prompts they use."""

from typing import NamedTuple

import numpy as np
import torch

from dmp.backbones import DiT
from dmp.data.images import to_model
from dmp.data.registry import Images
from dmp.diffusion import Diffusion
from dmp.patching import Patch, entropy
from dmp.rng import generator

IMAGES = 32


class GateRecord(NamedTuple):
    """The gate at S timesteps, averaged over images.

    Attributes:
        timesteps: ``(S,)`` int64.
        weights: ``(S, L, K)`` float32, mean weight of each prompt in each patched block.
        entropy: ``(S,)`` float64, of the weights over the prompts in nats, averaged over blocks.

    """

    timesteps: np.ndarray
    weights: np.ndarray
    entropy: np.ndarray


@torch.no_grad()
def record_gate(
    backbone: DiT, patch: Patch, diffusion: Diffusion, data: Images, timesteps: int, device: str
) -> GateRecord | None:
    """Record the weights at equally spaced timesteps; None for a gate that has no weights.

    The same noisy held-out images serve all timesteps and models: some gates see the condition,
    and a true mixture sees the tokens.

    Args:
        backbone: the patched model.
        patch: its patch.
        diffusion: the forward process.
        data: images and labels, of which the first 32 are used.
        timesteps: S, from 0 to T - 1.
        device: where to compute.

    """
    backbone.eval()
    patch.eval()
    steps = np.linspace(0, diffusion.timesteps - 1, timesteps).round().astype(np.int64)
    images = to_model(torch.from_numpy(data.images[:IMAGES])).to(device)
    labels = torch.from_numpy(data.labels[:IMAGES]).to(device)
    drawn = generator(0, "gate record").standard_normal(images.shape, dtype=np.float32)
    noise = torch.from_numpy(drawn).to(device)
    weights, entropies = [], []
    for step in steps.tolist():
        t = torch.full((len(images),), step, device=device)
        backbone(diffusion.add_noise(images, noise, t), t, labels)
        by_block = patch.weights()
        if not by_block:
            return None
        found = torch.stack(by_block)
        weights.append(found.float().mean(dim=1).cpu().numpy())
        entropies.append(float(entropy(found.double())))
    return GateRecord(steps, np.stack(weights), np.array(entropies))
