"""Where weighted prompts enter a block's input: added to its tokens, or prepended to them."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dmp.config.patch import PatchConfig
from dmp.errors import DMPError
from dmp.patching.calls import Calls
from dmp.patching.half import HALF, add_in_float32
from dmp.patching.points import Block, PatchPoints
from dmp.patching.resizing import check_mode, resize

Contribution = Callable[[Tensor, int], Tensor]


def check_placement(config: PatchConfig, points: PatchPoints) -> None:
    """Check that a backbone has what the options need.

    Raises:
        DMPError: it does not.
    """
    if config.timestep_ranges > points.num_timesteps:
        raise DMPError(
            f"patch: timestep_ranges = {config.timestep_ranges} is more than the "
            f"{points.num_timesteps} timesteps of the diffusion"
        )
    if config.condition == "t+c" and points.condition_embedding is None:
        raise DMPError("patch: condition = t+c, but this backbone has no condition's embedding")
    every = points.blocks(config.placement)
    patched = every[: config.blocks(len(every))]
    if config.masked_start and None in [block.attention for block in patched]:
        raise DMPError("patch: masked_start needs a backbone that says where its attention is")
    alike = len({(block.num_tokens, block.width, block.feature_map) for block in every}) == 1
    if config.position == "prepend" and (not alike or every[0].feature_map):
        raise DMPError(
            "patch: position = prepend needs one sequence of tokens that goes through all "
            "blocks, which this backbone does not have; accepted: add"
        )


def attach_added(
    blocks: Sequence[Block], contribution: Contribution, config: PatchConfig, calls: Calls
) -> list[RemovableHandle]:
    """Before block i: ``x ← x + contribution(x, i)``, the prompts resized to the tokens' grid.

    Args:
        blocks: the patched ones.
        contribution: from tokens ``(B, N, D)`` and i to weighted prompts, ``(B, K, D)``.
        config: says on which grid prompts stand, and whether they may be resized.
        calls: of the patch; they say height and width of the images.

    Raises:
        DMPError: prompts on the asked-for grid cannot be brought to a block's tokens.
    """
    for block in blocks:
        check_mode(config.edge(block.grid), (block.grid, block.grid), config.resize)
    return _around(blocks, _Added(blocks, contribution, config, calls), calls)


@dataclass(eq=False)
class _Added:
    """Changes a block's input as :func:`attach_added` says."""

    blocks: Sequence[Block]
    contribution: Contribution
    config: PatchConfig
    calls: Calls

    def __call__(self, x: Tensor, index: int) -> Tensor:
        block, mode, call = self.blocks[index], self.config.resize, self.calls.current
        image_size = (1, 1) if call is None else call.image_size
        grid = token_grid(x, index, block, image_size, mode)
        tokens = x.flatten(2).transpose(1, 2) if block.feature_map else x
        prompts = self.contribution(tokens, index)
        prompts = resize(prompts, self.config.edge(block.grid), grid, mode)
        if block.feature_map:
            prompts = prompts.mT.unflatten(-1, grid)
        if x.dtype in HALF:
            return add_in_float32(self.calls.running.widened, x, prompts, block.module)
        return x + prompts.to(x.dtype)


def attach_prepended(
    blocks: Sequence[Block],
    contribution: Contribution,
    prompts: int,
    prepended: str,
    end: nn.Module,
    calls: Calls,
) -> list[RemovableHandle]:
    """Before block i the sequence becomes ``[contribution(x, i); x]``, K tokens longer.

    Overwritten prompts leave the sequence after each block, and the next block's take their place;
    those of the last patched block leave there too, or, if ``prepended`` is ``stays``, after
    ``end``, the network's last block. Carried ones go through all patched blocks, each adding its
    own, and leave after the last.
    """
    carried = prepended == "carried"

    handles = _around(blocks, _Prepended(blocks, contribution, prompts, carried), calls)
    left = [block.module for block in (blocks[-1:] if carried else blocks)]
    if prepended == "stays":
        left[-1] = end
    strip = functools.partial(_strip, prompts)
    return handles + [module.register_forward_hook(strip) for module in left]


@dataclass(eq=False)
class _Prepended:
    """Changes a block's input as :func:`attach_prepended` says."""

    blocks: Sequence[Block]
    contribution: Contribution
    prompts: int
    carried: bool

    def __call__(self, tokens: Tensor, index: int) -> Tensor:
        if self.carried and index:
            front, rest = tokens[:, : self.prompts], tokens[:, self.prompts :]
            token_grid(rest, index, self.blocks[index])
            return torch.cat([front + self.contribution(rest, index).to(rest.dtype), rest], dim=1)
        token_grid(tokens, index, self.blocks[index])
        front = self.contribution(tokens, index).to(tokens.dtype)
        return torch.cat([front.expand(len(tokens), -1, -1), tokens], dim=1)


def _strip(prompts: int, _: nn.Module, __: tuple, output: Tensor) -> Tensor:
    return output[:, prompts:]


def attach_fading(
    attentions: Sequence[nn.Module], fade: Callable[[int], Tensor], prompts: int
) -> list[RemovableHandle]:
    """Blend each block's attention: ``a₀ + s_i (a - a₀)``, a₀ without the prompts, s_i from 0.

    At s = 0 the tokens do not see the prompts, at 1 they see them as any other token.

    Args:
        attentions: modules from ``(B, K + N, D)`` to the same shape, one per patched block.
        fade: from i to s_i, a scalar.
        prompts: K.
    """
    return [
        attention.register_forward_hook(
            functools.partial(_blend, fade, prompts, index), with_kwargs=True
        )
        for index, attention in enumerate(attentions)
    ]


def _blend(
    fade: Callable[[int], Tensor],
    prompts: int,
    index: int,
    module: nn.Module,
    inputs: tuple,
    named: dict,
    output: Tensor,
) -> Tensor:
    # ``forward`` and not a call: a call would come back here.
    without = module.forward(inputs[0][:, prompts:], *inputs[1:], **named)
    tokens = without + fade(index) * (output[:, prompts:] - without)
    return torch.cat([output[:, :prompts], tokens], dim=1)


@dataclass(eq=False)
class _Before:
    """Changes the input of block ``index``: a forward pre-hook.

    Hooks are objects and methods, not closures: a copy of the model has to call a copy of its
    patch, and neither copying nor pickling looks into a closure.
    """

    calls: Calls
    change: Callable[[Tensor, int], Tensor]
    index: int

    def __call__(self, _: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict[str, Any]]:
        x = inputs[0] if inputs else named["hidden_states"]
        self.calls.enter(x, self.index)
        changed = self.change(x, self.index)
        if inputs:
            return (changed, *inputs[1:]), named
        return inputs, {**named, "hidden_states": changed}


def _around(
    blocks: Sequence[Block], change: Callable[[Tensor, int], Tensor], calls: Calls
) -> list[RemovableHandle]:
    """Register what happens before and after each block; the latter even if the block fails."""
    handles = []
    for index, block in enumerate(blocks):
        before, register = _Before(calls, change, index), block.module.register_forward_hook
        handles.append(block.module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(register(calls.leave, always_call=True))
    return handles


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
        grid = (x.shape[2], x.shape[3])
        count, width = math.prod(grid), x.shape[1]
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
