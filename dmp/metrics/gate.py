"""What the gate does over the timesteps: its weights, and how many prompts they use."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmp.backbones import Backbone
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
        weights: of each of L patched blocks ``(S, K_i)`` float32, the mean weight of each prompt.
        entropy: ``(S,)`` float64, of the weights over the prompts in nats, averaged over blocks.
        evenness: ``(S, L)`` float64, each block's entropy over ln K_i: 1 where it uses all its
            prompts alike, however many they are.
    """

    timesteps: np.ndarray
    weights: list[np.ndarray]
    entropy: np.ndarray
    evenness: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """``(S,)``, the share of its prompts that a block uses: exp(entropy) / K, over blocks."""
        prompts = np.array([weights.shape[1] for weights in self.weights], dtype=np.float64)
        return (prompts ** (self.evenness - 1)).mean(axis=1)

    @property
    def uniform(self) -> bool:
        """Whether all blocks have as many prompts."""
        return len({weights.shape[1] for weights in self.weights}) == 1

    def by_prompts(self, values: list[float]) -> dict[int, float]:
        """Return the mean over the blocks with K prompts of a value of each block, for each K."""
        found: dict[int, list[float]] = {}
        for weights, value in zip(self.weights, values, strict=True):
            found.setdefault(weights.shape[1], []).append(value)
        return {prompts: float(np.mean(of)) for prompts, of in found.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is kept: ``weights`` ``(S, L, K)``; without one K, an array for each block.

        The latter are ``weights_0`` and so on, ``(S, K_i)``, and beside them is the evenness.
        """
        found = {"timesteps": self.timesteps}
        if self.uniform:
            return found | {"weights": np.stack(self.weights, axis=1), "entropy": self.entropy}
        found |= {f"weights_{block}": weights for block, weights in enumerate(self.weights)}
        return found | {"entropy": self.entropy, "evenness": self.evenness}


@torch.no_grad()
def record_gate(
    backbone: Backbone,
    patch: Patch,
    diffusion: Diffusion,
    data: Images,
    timesteps: int,
    device: str,
) -> GateRecord | None:
    """Record the weights at equally spaced timesteps; None for a gate that has no weights.

    The same noisy held-out images serve all timesteps and models: some gates see the condition,
    and a true mixture sees the tokens.

    Args:
        data: images and labels, of which the first 32 are used.
        timesteps: S, from 0 to T - 1.
    """
    backbone.eval()
    patch.eval()
    steps = np.linspace(0, diffusion.timesteps - 1, timesteps).round().astype(np.int64)
    images = to_model(torch.from_numpy(data.images[:IMAGES])).to(device)
    labels = torch.from_numpy(data.labels[:IMAGES]).to(device)
    drawn = generator(0, "gate record").standard_normal(images.shape, dtype=np.float32)
    noise = torch.from_numpy(drawn).to(device)
    weights, entropies, evenness = [], [], []
    for step in steps.tolist():
        t = torch.full((len(images),), step, device=device)
        patch.keep_weights = True
        try:
            backbone(diffusion.add_noise(images, noise, t), t, labels)
            by_block = patch.weights()
        finally:
            patch.keep_weights = False
        if not by_block:
            return None
        means: dict[int, np.ndarray] = {}
        total, even = 0.0, np.ones(len(by_block))
        for prompts, blocks in _levels(by_block).items():
            found = torch.stack([by_block[block] for block in blocks])
            means |= zip(blocks, found.float().mean(dim=1).cpu().numpy(), strict=True)
            total += len(blocks) / len(by_block) * float(entropy(found.double()))
            if prompts > 1:
                each = [float(entropy(block[None])) for block in found.double()]
                even[blocks] = np.array(each) / np.log(prompts)
        weights.append([means[block] for block in range(len(by_block))])
        entropies.append(total)
        evenness.append(even)
    by_time = [np.stack(block) for block in zip(*weights, strict=True)]
    return GateRecord(steps, by_time, np.array(entropies), np.stack(evenness))


def _levels(by_block: list[Tensor]) -> dict[int, list[int]]:
    """Return the numbers of the blocks by how many prompts they have."""
    levels: dict[int, list[int]] = {}
    for block, weights in enumerate(by_block):
        levels.setdefault(weights.shape[1], []).append(block)
    return levels
