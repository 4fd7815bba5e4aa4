"""Where weighted prompts enter the tokens: added to them, or prepended to the sequence."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dmp.errors import DMPError
from dmp.patching.points import PatchPoints

Contribution = Callable[[Tensor, int], Tensor]


def attach_added(
    blocks: Sequence[nn.Module], contribution: Contribution, points: PatchPoints
) -> list[RemovableHandle]:
    """Before block i: ``x ← x + contribution(x, i)``."""

    def add(tokens: Tensor, index: int) -> Tensor:
        check(tokens, index, points.num_tokens, points.hidden_size)
        return tokens + contribution(tokens, index)

    return [_before(block, add, index) for index, block in enumerate(blocks)]


def attach_prepended(
    blocks: Sequence[nn.Module],
    contribution: Contribution,
    points: PatchPoints,
    prompts: int,
    carried: bool,
) -> list[RemovableHandle]:
    """Before block i the sequence becomes ``[contribution(x, i); x]``, K tokens longer.

    Overwritten prompts leave the sequence after each block, so that the next block's take their
    place. Carried ones go through all patched blocks, each adding its own, and leave after the
    last.
    """

    def prepend(tokens: Tensor, index: int) -> Tensor:
        if carried and index:
            front, rest = tokens[:, :prompts], tokens[:, prompts:]
            check(rest, index, points.num_tokens, points.hidden_size)
            return torch.cat([front + contribution(rest, index), rest], dim=1)
        check(tokens, index, points.num_tokens, points.hidden_size)
        front = contribution(tokens, index).to(tokens.dtype)
        return torch.cat([front.expand(len(tokens), -1, -1), tokens], dim=1)

    def strip(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output[:, prompts:]

    handles = [_before(block, prepend, index) for index, block in enumerate(blocks)]
    last = blocks[-1:] if carried else blocks
    return handles + [block.register_forward_hook(strip) for block in last]


def attach_fading(
    attentions: Sequence[nn.Module], fade: Tensor, prompts: int
) -> list[RemovableHandle]:
    """Blend each block's attention: ``a₀ + s_i (a - a₀)``, a₀ without the prompts, s_i from 0.

    At s = 0 the tokens do not see the prompts, at 1 they see them as any other token.

    Args:
        attentions: modules from ``(B, K + N, D)`` to the same shape, one per patched block.
        fade: ``(L,)``, the scalars s.
        prompts: K.

    """

    def blend(module: nn.Module, inputs: tuple, output: Tensor, index: int) -> Tensor:
        # ``forward`` and not a call: a call would come back here.
        without = module.forward(inputs[0][:, prompts:], *inputs[1:])
        tokens = without + fade[index] * (output[:, prompts:] - without)
        return torch.cat([output[:, :prompts], tokens], dim=1)

    return [
        attention.register_forward_hook(lambda m, i, o, index=index: blend(m, i, o, index))
        for index, attention in enumerate(attentions)
    ]


def _before(
    block: nn.Module, change: Callable[[Tensor, int], Tensor], index: int
) -> RemovableHandle:
    def hook(_: nn.Module, inputs: tuple) -> tuple:
        return (change(inputs[0], index), *inputs[1:])

    return block.register_forward_pre_hook(hook)


def check(tokens: Tensor, index: int, count: int, width: int) -> None:
    """Check the shape of a block's input.

    Raises:
        DMPError: it is not what the prompts are made for.

    """
    if tokens.shape[1:] != (count, width):
        raise DMPError(
            f"patch: block {index} got tokens of shape {tuple(tokens.shape)}; the prompts are "
            f"made for {count} tokens of width {width}"
        )
