"""Balancing losses on the gate's weights, and the gate's entropy.

:func:`balancing` takes what the gates made of a forward pass; the blocks may differ in K. All
others take ``weights: (L, B, K)``: the weight of each of K prompts, in each of L patched blocks,
for each of B images; or the K logits and their noise, in the same shape.
"""

import torch
from torch import Tensor

from dmp.config.patch import PatchConfig
from dmp.patching.weights import Weighting, top_count

EPSILON = 1e-5  # below Eq. 10
RELEASED_EPSILON = 1e-10


def squared_variation(values: Tensor, epsilon: float = EPSILON, unbiased: bool = False) -> Tensor:
    """Return ``σ² / (μ² + ε)`` over the last dimension (Eq. 9)."""
    variance = values.var(dim=-1, unbiased=unbiased)
    return variance / (values.mean(dim=-1).square() + epsilon)


def importance_loss(weights: Tensor, form: str = "per-block", epsilon: float = EPSILON) -> Tensor:
    """Squared coefficient of variation of the weights: how unevenly the prompts are used.

    Args:
        weights: ``(L, B, K)``.
        form: ``per-block``: over the prompts of each block and image, summed over blocks and
            averaged over images (Eqs. 9 and 10, which have no batch index); ``per-block-mean``:
            that over L; ``summed``: weights are summed over blocks, then one unbiased variation
            over all B·K entries, as in the released code, and 0 where B is 1; ``batch``: of the
            weights' means over the batch, summed over blocks (Shazeer et al. 2017, Eq. 7).
        epsilon: at N = 256 softmax weights have mean 1/256, so that the paper's ε is two thirds
            of μ² and scales the loss by 0.60.

    Returns:
        A scalar.
    """
    if form == "summed":
        if weights.shape[1] == 1:
            return weights.new_zeros(())
        return squared_variation(weights.sum(dim=0).flatten(), RELEASED_EPSILON, unbiased=True)
    if form == "batch":
        return squared_variation(weights.mean(dim=1), epsilon).sum()
    per_block = squared_variation(weights, epsilon)
    if form == "per-block-mean":
        return per_block.mean()
    return per_block.sum(dim=0).mean()


def load_loss(weights: Tensor) -> Tensor:
    """Count of weights below zero, averaged over blocks (Eq. 10, with the free n summed over).

    It has no gradient: an indicator is flat. After a softmax it is also always zero. It is
    logged as the paper writes it, and it cannot change what is learned.

    Returns:
        A scalar without a graph, averaged over the batch.
    """
    return (weights.detach() < 0).sum(dim=-1).to(weights.dtype).mean()


def top_probability(logits: Tensor, noisy: Tensor, deviation: Tensor, count: int) -> Tensor:
    """Probability that each prompt is among the ``count`` largest if its own noise is redrawn.

    ``Φ((logit - threshold) / sd)``, the threshold being the ``count``-th largest of the other
    prompts' noisy logits (Shazeer et al. 2017, Eqs. 8 and 9). All are ``(L, B, K)``.
    """
    largest = noisy.topk(count + 1, dim=-1).values
    inside = noisy > largest[..., count:]
    threshold = torch.where(inside, largest[..., count:], largest[..., count - 1 : count])
    return torch.special.ndtr((logits - threshold) / deviation)


def smooth_load_loss(probability: Tensor) -> Tensor:
    """Squared variation of each prompt's expected load, summed over blocks (their Eqs. 10, 11).

    Args:
        probability: ``(L, B, K)``, from :func:`top_probability`.
    """
    return squared_variation(probability.mean(dim=1), RELEASED_EPSILON).sum()


def balancing(blocks: list[Weighting], config: PatchConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the balancing losses, and all of them by name, for the log.

    Blocks with another K are computed on their own; what the paper sums over blocks is summed
    over these groups, and what is a mean over blocks is their mean. Weights that the ``summed``
    form sums over blocks must have the same K: it is summed within each group.

    Args:
        blocks: the weights of each patched block.
        config: says which forms and factors.
    """
    groups: dict[int, list[Weighting]] = {}
    for block in blocks:
        groups.setdefault(block.soft.shape[1], []).append(block)
    parts = [_terms(group, config) for group in groups.values()]
    means = {"gate/entropy", "gate/noise"}
    if config.importance == "per-block-mean":
        means |= {"loss/importance", "loss/importance_without_epsilon"}
    if config.load != "smooth":
        means.add("loss/load")
    terms = {}
    for name in parts[0]:
        shares = [len(g) / len(blocks) if name in means else 1 for g in groups.values()]
        values = [share * part[name] for share, part in zip(shares, parts, strict=True)]
        terms[name] = sum(values[1:], start=values[0])
    total = terms["loss/importance"].new_zeros(())
    if config.importance_weight:
        total = total + config.importance_weight * terms["loss/importance"]
    if config.load_weight:
        total = total + config.load_weight * terms["loss/load"]
    if len(groups) > 1 and config.importance != "summed":
        for count, group in groups.items():
            square = _watched(group, config).mean(dim=-1).square()
            # How much of the importance loss ε leaves of these blocks: 0.6 % at K = 4096.
            terms[f"gate/epsilon_scale/{count}"] = (square / (square + EPSILON)).mean()
    return total, {name: value.detach() for name, value in terms.items()}


def _watched(blocks: list[Weighting], config: PatchConfig) -> Tensor:
    """Return the weights that the losses look at, ``(L, B, K)``, of blocks with the same K."""
    applied = config.importance_on == "applied"
    return torch.stack([block.applied if applied else block.soft for block in blocks]).float()


def _terms(blocks: list[Weighting], config: PatchConfig) -> dict[str, Tensor]:
    """Return the losses of blocks with the same K."""
    weights = _watched(blocks, config)
    terms = {
        "loss/importance": importance_loss(weights, config.importance),
        # What the paper's ε takes away shows in the difference of the two.
        "loss/importance_without_epsilon": importance_loss(
            weights.detach(), config.importance, RELEASED_EPSILON
        ),
        "loss/load": load_loss(weights),
        "gate/entropy": entropy(torch.stack([block.applied for block in blocks]).float()),
    }
    if config.load != "indicator" and blocks[0].deviation is not None:
        logits, noisy, deviation = (
            torch.stack([getattr(block, name) for block in blocks]).float()
            for name in ("logits", "noisy", "deviation")
        )
        probability = top_probability(
            logits, noisy, deviation, top_count(config, weights.shape[-1])
        )
        if config.load == "smooth":
            terms["loss/load"] = smooth_load_loss(probability)
        else:
            # Summed over prompts and images: about B·k always, so that it balances nothing.
            terms["loss/load"] = probability.sum(dim=(1, 2)).mean()
        terms["gate/noise"] = deviation.mean()
    return terms


def entropy(weights: Tensor) -> Tensor:
    """Entropy of the weights over the prompts in nats, averaged over blocks and batch.

    Weights that do not sum to 1 are divided by their sum. ``exp(entropy)`` is the effective number
    of prompts in use; ``log(K)`` means all alike.
    """
    share = weights / weights.sum(dim=-1, keepdim=True)
    return -share.xlogy(share).sum(dim=-1).mean()
