"""What a patch has to know of a backbone; each backbone says it for itself."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from dmp.errors import DMPError


@dataclass(frozen=True)
class PatchPoints:
    """Where prompts go in, and where the gate reads.

    Attributes:
        blocks: modules whose first positional argument is tokens ``(B, N, D)``, in call order.
        timestep_embedding: module whose output is the timestep embedding ``t: (B, C)``; it is
            called once per forward pass with the timesteps, before the first block.
        condition_embedding: module whose output is the condition's embedding ``c: (B, C)``, called
            once per forward pass, after the timestep's and before the first block; None if there
            is none.
        attentions: each block's attention, from tokens ``(B, N, D)`` to the same shape; empty if
            it cannot be reached.
        num_tokens: N, the length of the token sequence.
        hidden_size: D, the width of a token.
        condition_size: C, the width of the timestep embedding.
        num_timesteps: T; timesteps are 0 to T - 1.

    """

    blocks: Sequence[nn.Module]
    timestep_embedding: nn.Module
    num_tokens: int
    hidden_size: int
    condition_size: int
    condition_embedding: nn.Module | None = None
    attentions: Sequence[nn.Module] = ()
    num_timesteps: int = 1000


@functools.singledispatch
def patch_points(model: nn.Module) -> PatchPoints:
    """Return the patch points of a backbone; register one function per type of backbone.

    Raises:
        DMPError: nothing is registered for this type.

    """
    known = sorted(t.__name__ for t in patch_points.registry if t is not object)
    raise DMPError(
        f"cannot patch a {type(model).__name__}: no adapter says where its blocks and its timestep "
        f"embedding are; known backbones: {', '.join(known) or 'none (import dmp.backbones)'}"
    )
