"""Training iterations that give the same bits each time, on a GPU too."""

import contextlib
from collections.abc import Generator

import torch

from dmp.backbones import DiT
from dmp.patching import Patch
from dmp.training.objective import Objective


@contextlib.contextmanager
def repeatable(objective: Objective) -> Generator[None]:
    """Let torch's fused attention be one whose gradients add up in a fixed order.

    Entered for the forward and the backward pass. On a GPU torch chooses so only where an operation
    that cannot be repeated is an error, not where it is a warning, as it is in all jobs. A DiT has
    no such operation, and no method has, but prompts that are interpolated. Other backbones may
    have some; they are left alone.
    """
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if not (warns and torch.cuda.is_available() and _can_repeat(objective)):
        yield
        return
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=True)


def _can_repeat(objective: Objective) -> bool:
    added = objective.added
    interpolates = (
        isinstance(added, Patch)
        and added.config.grid != "tokens"
        and added.config.resize != "nearest"
    )
    return isinstance(objective.backbone, DiT) and not interpolates
