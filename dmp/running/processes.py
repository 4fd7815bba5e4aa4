"""Several processes that train together: which one this is, and what they cannot do."""

import os
import sys

from dmp.errors import DMPError


def process_count() -> int:
    """Return how many processes `torchrun` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this is the process that writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def local_process() -> int:
    """Return this process's number on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def leave_group() -> None:
    """Close the connections to the other processes, if there are any."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def check_shared(batch_size: int, batch_losses: list[str], processes: int) -> None:
    """Refuse what several processes would compute differently from one.

    Each takes an equal share of the batch, and gradients are averaged: exact where the loss is a
    mean over images.

    Raises:
        DMPError: naming the key, its value and what to do.
    """
    if processes == 1:
        return
    if batch_size % processes:
        raise DMPError(
            f"batch_size = {batch_size} cannot be shared by {processes} processes: it has to be a "
            f"multiple of their number"
        )
    if batch_losses:
        raise DMPError(
            f"{' and '.join(batch_losses)}: this loss mixes the images of a batch, and "
            f"{processes} processes would compute another one; train this variant in one process "
            f"(--processes 1)"
        )
