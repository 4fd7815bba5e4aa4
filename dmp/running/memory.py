"""How the C library keeps memory that torch frees."""

import ctypes

# Of glibc's malloc.h: where memory comes from the kernel directly, and when it is given back.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The most that glibc accepts for the latter on 64 bits; above it, blocks come and go as before.
LARGEST = 32 * 2**20
KEPT = 512 * 2**20


def keep_freed_memory() -> None:
    """Let freed memory stay with this process, so that the next step finds it at hand.

    By default glibc gives blocks of some hundred KiB back to the kernel, which has to clear each
    page when it is asked for again: a training step of a small model makes hundreds of such blocks.
    With another C library nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)
