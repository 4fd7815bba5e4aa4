"""Randomness as a pure function of (seed, purpose, index).

No generator outlives the item that it was made for, so no draw depends on how many draws came
before it: not on batch size, worker count, job order, or where a killed run was resumed.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def key(seed: int, purpose: str, index: int = 0) -> int:
    """Return the 128-bit key of one item: BLAKE2b of ``seed/purpose/index``."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")


def generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return a NumPy generator (Philox, counter-based) for one item."""
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, index)))


def torch_generator(seed: int, purpose: str, index: int = 0) -> "torch.Generator":
    """Return a CPU torch generator for one item; CPU so that every device sees the same numbers."""
    import torch

    # torch takes 64-bit seeds; the low half of the key is as good as any other.
    return torch.Generator().manual_seed(key(seed, purpose, index) & (2**63 - 1))
