"""Standard normal noise by example number, at the speed that a loader of latents needs."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from dmp.rng import each_generator

# A thread is worth its start from this many numbers on, which take a millisecond.
SHARE = 2**16


def standard_normal(
    seed: int, purpose: str, numbers: Iterable[int], shape: tuple[int, ...]
) -> Tensor:
    """Return ``(B, *shape)`` float32: the noise of each number, whatever the others are.

    Row i is what ``generator(seed, purpose, numbers[i])`` draws. An example of its own wastes
    nothing where several processes or workers share the numbers. As many threads draw as torch
    may use, since Philox takes four times as long as torch's own generator does.
    """
    numbers = list(numbers)
    noise = np.empty((len(numbers), *shape), np.float32)
    threads = max(1, min(torch.get_num_threads(), noise.size // SHARE))
    share = max(1, -(-len(numbers) // threads))

    def fill(first: int) -> None:
        part = slice(first, first + share)
        sources = each_generator(seed, purpose, numbers[part])
        for row, source in zip(noise[part], sources, strict=True):
            source.standard_normal(dtype=np.float32, out=row)

    if threads == 1:
        fill(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(0, len(numbers), share)))
    return torch.from_numpy(noise)
