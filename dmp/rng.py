"""Randomness as a pure function of (seed, purpose, index).

No generator outlives the item that it was made for, so no draw depends on how many draws came
before it: not on batch size, worker count, job order, or where a killed run was resumed.

All draws of a run are NumPy's, from Philox with the 128 bits of the item's key. torch's generator
for the CPU keeps only the low 32 bits of a seed: among 50,000 samples some would share their noise
to the last bit.
"""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np


def key(seed: int, purpose: str, index: int = 0) -> int:
    """Return the 128-bit key of one item: BLAKE2b of ``seed/purpose/index``."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little")


def generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return a NumPy generator (Philox, counter-based) for one item."""
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, index)))


def each_generator(
    seed: int, purpose: str, indices: Iterable[int]
) -> Iterator[np.random.Generator]:
    """Yield the generator of each index, to be used before the next one is asked for.

    Setting one generator anew takes a microsecond and making one takes ten, which counts where
    there are thousands of items per second.
    """
    philox = np.random.Philox(key=0)
    fresh, source = philox.state, np.random.Generator(philox)
    for index in indices:
        high, low = divmod(key(seed, purpose, index), 2**64)
        fresh["state"]["key"][:] = low, high
        philox.state = fresh
        yield source
