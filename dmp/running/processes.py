"""Several processes that train together: which one this is, and what they cannot do."""

import os
import sys

from dmp.config import PatchConfig
from dmp.errors import DMPError

# Balancing losses that mix the images of a batch: their mean over parts of it is another number.
MIXING_IMPORTANCE = ("batch", "summed")
PER_IMAGE_LOAD = "indicator"


def process_count() -> int:
    """Return how many processes `torchrun` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Return whether this is the process that writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def local_process() -> int:
    """Return this process's number on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def mixed_losses(patch: PatchConfig | None) -> list[str]:
    """Return the options of a patch whose losses are no mean over the images of a batch."""
    if patch is None or patch.gate == "none":
        return []
    found = []
    if patch.importance in MIXING_IMPORTANCE:
        found.append(f"importance = {patch.importance}")
    if patch.load != PER_IMAGE_LOAD:
        found.append(f"load = {patch.load}")
    return found


def leave_group() -> None:
    """Close the connections to the other processes, if there are any."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def check_shared(batch_size: int, patch: PatchConfig | None, processes: int) -> None:
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
    found = mixed_losses(patch)
    if found:
        raise DMPError(
            f"{' and '.join(found)}: this balancing loss mixes the images of a batch, so that "
            f"{processes} processes would compute another one; train this variant in one process "
            f"(--processes 1)"
        )
