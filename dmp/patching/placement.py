"""Where weighted prompts enter a block's input: added to its tokens, or prepended to them."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dmp.config.patch import PatchConfig
from dmp.errors import DMPError
from dmp.patching.points import Block
from dmp.patching.resizing import check_mode, resize

Contribution = Callable[[Tensor, int], Tensor]


def attach_added(
    blocks: Sequence[Block],
    contribution: Contribution,
    config: PatchConfig,
    image_size: Callable[[], tuple[int, int]],
) -> list[RemovableHandle]:
    """Before block i: ``x ← x + contribution(x, i)``, the prompts resized to the tokens' grid.

    Args:
        blocks: the patched ones.
        contribution: from tokens ``(B, N, D)`` and i to weighted prompts, ``(B, K, D)``.
        config: says on which grid prompts stand, and whether they may be resized.
        image_size: says height and width of the images that the model was called with.

    Raises:
        DMPError: prompts on the asked-for grid cannot be brought to a block's tokens.

    """
    for block in blocks:
        check_mode(config.edge(block.grid), (block.grid, block.grid), config.resize)

    def add(x: Tensor, index: int) -> Tensor:
        block = blocks[index]
        grid = token_grid(x, index, block, image_size(), config.resize)
        tokens = x.flatten(2).transpose(1, 2) if block.feature_map else x
        prompts = resize(
            contribution(tokens, index), config.edge(block.grid), grid, config.resize
        ).to(x.dtype)
        return x + (prompts.mT.unflatten(-1, grid) if block.feature_map else prompts)

    return [_before(block, add, index) for index, block in enumerate(blocks)]


def attach_prepended(
    blocks: Sequence[Block],
    contribution: Contribution,
    prompts: int,
    prepended: str,
    end: nn.Module,
) -> list[RemovableHandle]:
    """Before block i the sequence becomes ``[contribution(x, i); x]``, K tokens longer.

    Overwritten prompts leave the sequence after each block, and the next block's take their place;
    those of the last patched block leave there too, or, if ``prepended`` is ``stays``, after
    ``end``, the network's last block. Carried ones go through all patched blocks, each adding its
    own, and leave after the last.
    """
    carried = prepended == "carried"

    def prepend(tokens: Tensor, index: int) -> Tensor:
        if carried and index:
            front, rest = tokens[:, :prompts], tokens[:, prompts:]
            token_grid(rest, index, blocks[index])
            return torch.cat([front + contribution(rest, index).to(rest.dtype), rest], dim=1)
        token_grid(tokens, index, blocks[index])
        front = contribution(tokens, index).to(tokens.dtype)
        return torch.cat([front.expand(len(tokens), -1, -1), tokens], dim=1)

    def strip(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output[:, prompts:]

    handles = [_before(block, prepend, index) for index, block in enumerate(blocks)]
    left = [block.module for block in (blocks[-1:] if carried else blocks)]
    if prepended == "stays":
        left[-1] = end
    return handles + [module.register_forward_hook(strip) for module in left]


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

    def blend(module: nn.Module, inputs: tuple, named: dict, output: Tensor, index: int) -> Tensor:
        # ``forward`` and not a call: a call would come back here.
        without = module.forward(inputs[0][:, prompts:], *inputs[1:], **named)
        tokens = without + fade[index] * (output[:, prompts:] - without)
        return torch.cat([output[:, :prompts], tokens], dim=1)

    return [
        attention.register_forward_hook(
            lambda m, i, n, o, index=index: blend(m, i, n, o, index), with_kwargs=True
        )
        for index, attention in enumerate(attentions)
    ]


def _before(block: Block, change: Callable[[Tensor, int], Tensor], index: int) -> RemovableHandle:
    def hook(_: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        if inputs:
            return (change(inputs[0], index), *inputs[1:]), named
        return inputs, {**named, "hidden_states": change(named["hidden_states"], index)}

    return block.module.register_forward_pre_hook(hook, with_kwargs=True)


def token_grid(
    x: Tensor, index: int, block: Block, image: tuple[int, int] = (1, 1), resize: str = "none"
) -> tuple[int, int]:
    """Return rows and columns of a block's input.

    Args:
        x: tokens ``(B, N, D)`` or a feature map ``(B, D, H, W)``.
        index: the block's, for the message.
        block: what the prompts are made for.
        image: height and width of the images; the rows and columns of tokens are in proportion.
        resize: whether prompts may be brought to another grid, and how.

    Raises:
        DMPError: another width, or another grid and ``resize`` is ``none``.

    """
    if block.feature_map:
        count, width, grid = x.shape[2:].numel(), x.shape[1], tuple(x.shape[2:])
    else:
        count, width = x.shape[1:]
        rows = max(1, round(math.sqrt(count * image[0] / image[1])))
        grid = (rows, count // rows)
    fits = grid == (block.grid, block.grid) or resize != "none"
    if width != block.width or math.prod(grid) != count or not fits:
        raise DMPError(
            f"patch: block {index} got {'a feature map' if block.feature_map else 'tokens'} of "
            f"shape {tuple(x.shape)}, a grid of {grid[0]} x {grid[1]}; the prompts are made for "
            f"{block.num_tokens} tokens of width {block.width}, {block.grid} x {block.grid}"
            + ("" if width != block.width else "; resize = bicubic interpolates them")
        )
    return grid
