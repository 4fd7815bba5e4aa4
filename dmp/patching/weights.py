"""From a gate's outputs to the weights of the prompts: noise, normalisation, hard selection."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmp.config.patch import PatchConfig

SMALLEST_DEVIATION = 0.01


class Weighting(NamedTuple):
    """The weights of a block's prompts, and where they come from.

    Attributes:
        soft: ``(B, K)``, the weights before hard selection.
        applied: ``(B, K)``, the weights that were applied.
        logits: ``(B, K)``, the gate's outputs without noise; None in a gate that has none.
        noisy: ``(B, K)``, with noise; likewise.
        deviation: ``(B, K)``, standard deviation of the noise; None where there is no noise.
    """

    soft: Tensor
    applied: Tensor
    logits: Tensor | None = None
    noisy: Tensor | None = None
    deviation: Tensor | None = None


class GateOutput(NamedTuple):
    """What a gate makes of a block's prompts.

    Attributes:
        prompts: ``(B, K, D)``, weighted; what enters the tokens.
        weighting: the weights; None if the gate has none.
    """

    prompts: Tensor
    weighting: Weighting | None = None


def apply_noise(
    logits: Tensor, condition: Tensor, matrix: Tensor | None, noise: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return ``logits + noise ⊙ (softplus(t W) + 0.01)`` and the standard deviation.

    Args:
        logits: ``(B, K)``.
        condition: ``(B, C)``.
        matrix: ``(C, K)``, W, or None for no noise.
        noise: ``(B, K)``, standard normal, or None outside training.
    """
    if matrix is None or noise is None:
        return logits, None
    deviation = nn.functional.softplus(condition @ matrix) + SMALLEST_DEVIATION
    return logits + noise.to(logits.dtype) * deviation, deviation


def to_weights(logits: Tensor, config: PatchConfig) -> Tensor:
    """Return weights ``(B, K)``: softmax (sum 1), K times it (mean 1), or sigmoid.

    Logits are divided by the gate's temperature.
    """
    logits = logits / config.gate_temperature
    if config.weights == "sigmoid":
        return logits.sigmoid()
    weights = logits.softmax(dim=1)
    return weights * weights.shape[1] if config.weights == "n-softmax" else weights


def top_count(config: PatchConfig, prompts: int) -> int:
    """Return how many of ``prompts`` hard selection keeps, at least 1 and not all."""
    share = config.top_share * prompts
    count = int(share) if config.top_rounding == "down" else round(share)
    return min(max(1, count), max(1, prompts - 1))


def select(soft: Tensor, config: PatchConfig) -> Tensor:
    """Keep the prompts with the largest weights, ``soft: (B, K)``; all of them if ``type`` is soft.

    The paper gives weight 1 to each prompt that is kept; a step function has no gradient, so that
    it can only reach the gate as though the weights were soft (straight-through), or not at all.
    """
    if config.type == "soft":
        return soft
    count = top_count(config, soft.shape[1])
    kept = torch.zeros_like(soft).scatter(1, soft.topk(count, dim=1).indices, 1.0)
    if config.hard_weights == "renormalised":
        chosen = soft * kept
        return chosen / chosen.sum(dim=1, keepdim=True)
    hard = kept / count if config.hard_weights == "one-over-k" else kept
    if config.hard_gradient == "none":
        return hard
    return hard + soft - soft.detach()


def of_range(prompts: Tensor, ranges: int, timesteps: Tensor, total: int) -> Tensor:
    """Return the prompts of each image's range of timesteps, ``(B, K, D)``.

    Args:
        prompts: ``(R · K, D)``, range by range.
        ranges: R, equal ranges from 0 to ``total`` - 1.
        timesteps: ``(B,)``.
        total: T.
    """
    return prompts.unflatten(0, (ranges, -1))[timesteps.long() * ranges // total]
