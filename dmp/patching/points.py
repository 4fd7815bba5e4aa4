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
            called once per forward pass, before the first block.
        num_tokens: N, the length of the token sequence.
        hidden_size: D, the width of a token.
        condition_size: C, the width of the timestep embedding.

    """

    blocks: Sequence[nn.Module]
    timestep_embedding: nn.Module
    num_tokens: int
    hidden_size: int
    condition_size: int


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
