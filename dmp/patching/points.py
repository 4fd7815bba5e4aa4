"""What a patch has to know of a backbone, which :mod:`dmp.patching.adapters` says of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmp.errors import DMPError


@dataclass(frozen=True)
class Block:
    """One place where prompts go in: a module, and the shape of its input.

    Attributes:
        module: its input is its first positional argument, or the one named ``hidden_states``.
        grid: edge of the square grid of tokens that the backbone was trained on; N = grid².
        width: D, the width of a token.
        feature_map: whether the input is a feature map ``(B, D, H, W)``; otherwise it is tokens
            ``(B, N, D)``, row by row.
        attention: the block's attention, from tokens ``(B, N, D)`` to the same shape; None if it
            cannot be reached.
    """

    module: nn.Module
    grid: int
    width: int
    feature_map: bool = False
    attention: nn.Module | None = None

    @property
    def num_tokens(self) -> int:
        """N, the number of tokens."""
        return self.grid**2


@dataclass(frozen=True)
class PatchPoints:
    """Where prompts go in, and where the gate reads.

    What is called is a module, a module's function or an object, and not a closure over the model:
    copies and pickles of a patched model take these along.

    Attributes:
        placements: blocks by the name of their placement, each in the order of execution; all
            backbones have ``transformer-blocks``, U-Nets ``stage-inputs`` as well.
        arguments: takes the arguments of the model's ``forward``; returns the images
            ``(B, channels, H, W)`` and their timesteps, ``(B,)`` or one for all.
        embed_timesteps: from timesteps ``(B,)`` to the timestep embedding ``t: (B, C)``; used where
            the gate is to be told another time, and where the model calls no
            ``timestep_embedding``.
        condition_size: C, the width of the timestep embedding.
        timestep_embedding: module whose output is ``t``; called once per forward pass, before the
            first block. None if the model computes ``t`` inside its blocks.
        condition_embedding: module whose output is the condition's embedding ``c: (B, C)``, called
            once per forward pass, after the timestep's and before the first block; None if there
            is none.
        num_timesteps: T; timesteps are 0 to T - 1.
        inferred: what of this the paper does not say; empty if it says all.
    """

    placements: Mapping[str, Sequence[Block]]
    arguments: Callable[..., tuple[Tensor, Tensor | float]]
    embed_timesteps: Callable[[Tensor], Tensor]
    condition_size: int
    timestep_embedding: nn.Module | None = None
    condition_embedding: nn.Module | None = None
    num_timesteps: int = 1000
    inferred: str = ""

    def blocks(self, placement: str) -> Sequence[Block]:
        """Return the blocks of a placement.

        Raises:
            DMPError: this backbone does not have it.
        """
        if not self.placements.get(placement):
            raise DMPError(
                f"patch: placement = {placement}, which this backbone does not have; accepted: "
                f"{', '.join(name for name, blocks in self.placements.items() if blocks)}"
            )
        return self.placements[placement]


def compute_device(model: nn.Module) -> torch.device:
    """Return the device that a model computes on.

    Under sequential offload its parameters are on ``meta`` between calls, and accelerate's hooks
    know where they are going to be brought.
    """
    device = next(model.parameters()).device
    if device.type != "meta":
        return device
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        for one in getattr(hook, "hooks", (hook,)):  # several are wrapped in one
            execution_device = getattr(one, "execution_device", None)
            if execution_device is not None:
                return torch.device(execution_device)
    return device
