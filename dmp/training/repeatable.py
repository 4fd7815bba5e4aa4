"""A backward pass that gives the same bits each time, on a GPU too."""

import contextlib
from collections.abc import Generator

import torch
from torch import nn

from dmp.backbones import DiT


@contextlib.contextmanager
def repeatable_backward(backbone: nn.Module) -> Generator[None]:
    """Let torch's fused attention add up its gradients in a fixed order.

    On a GPU it does so only where an operation that cannot be repeated is an error, not where it
    is a warning, as it is in all jobs. A DiT has no such operation; other backbones may, and are
    left alone.
    """
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if not (warns and torch.cuda.is_available() and isinstance(backbone, DiT)):
        yield
        return
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=True)
