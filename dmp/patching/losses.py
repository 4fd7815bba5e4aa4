"""Balancing losses on the gate's weights, as the paper writes them, and the gate's entropy.

All take ``weights: (L, B, N)``: the weight of each of N prompts, in each of L patched blocks, for
each of B images.
"""

from torch import Tensor

EPSILON = 1e-5  # below Eq. 10


def importance_loss(weights: Tensor) -> Tensor:
    """Squared coefficient of variation over the prompts, summed over blocks (Eqs. 9 and 10).

    The equations have no batch index; the loss is taken for each image and averaged. At N = 256
    softmax weights have mean 1/256, so that ε is two thirds of μ² and scales the loss by 0.60.

    Returns:
        A scalar.

    """
    mean = weights.mean(dim=-1)
    variance = weights.var(dim=-1, unbiased=False)
    return (variance / (mean.square() + EPSILON)).sum(dim=0).mean()


def load_loss(weights: Tensor) -> Tensor:
    """Count of weights below zero, averaged over blocks (Eq. 10, with the free n summed over).

    It has no gradient: an indicator is flat. After a softmax it is also always zero. It is
    logged as the paper writes it, and it cannot change what is learned.

    Returns:
        A scalar without a graph, averaged over the batch.

    """
    return (weights.detach() < 0).sum(dim=-1).to(weights.dtype).mean()


def entropy(weights: Tensor) -> Tensor:
    """Entropy of the weights over the prompts in nats, averaged over blocks and batch.

    ``exp(entropy)`` is the effective number of prompts in use; ``log(N)`` means all alike.
    """
    return -weights.xlogy(weights).sum(dim=-1).mean()
