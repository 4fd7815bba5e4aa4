"""How many latents per second one process draws from local disk, in random order.

    python .ci/loader.py [images] [folder] [threads]

Makes a cache of random posteriors (4×32×32, float16, 32 KiB per image with its mirror) in a
temporary folder, takes a permutation of it in batches of 256, and prints the best of three passes:
by the clock, and by the processor's time alone, which others on the machine cannot take away.
`cold` is one pass after the kernel was asked to forget the files. The goal is 20,000 per second
with the draw from the posterior; a training stream draws the diffusion's noise as well. One thread
reaches 12,000 of its own time, as most of that is NumPy's noise, which is drawn by several.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dmp.config import LatentsConfig
from dmp.data.latents.encode import LABELS, LATENTS
from dmp.data.latents.store import LatentImages, LatentStore
from dmp.data.noise import standard_normal
from dmp.data.shards import Row, Shards, share
from dmp.rng import generator

IMAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
SHAPE = (4, 32, 32)
THREADS = int(sys.argv[3]) if len(sys.argv) > 3 else 1
BATCH = 256
JOBS = 4
GOAL = 20_000


def make(folder: Path, config: LatentsConfig) -> None:
    """Write a finished cache of random posteriors."""
    identity = {"format": "latents", "autoencoder": "random", "resolution": 256, "dtype": "float16"}
    row = Row((2, 2, *SHAPE), config.dtype)
    shards = Shards(folder, identity, {LATENTS: row, LABELS: Row((), "int64")}, IMAGES)
    for number in range(JOBS):
        rows = share(IMAGES, config.shard_size, number, JOBS)
        random = generator(0, "loader benchmark", number)
        sizes = [len(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
        batches = (
            {LATENTS: random.standard_normal((n, *row.shape), np.float32), LABELS: np.zeros(n)}
            for n in sizes
        )
        shards.write(number, rows, batches)
    shards.seal(autoencoder=config.autoencoder)


def forget(folder: Path) -> None:
    """Ask the kernel to drop the files from its cache, so that the next pass reads the disk."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def noise(purpose: str, numbers: range) -> torch.Tensor:
    """Return the noise of examples, as a stream draws it."""
    return standard_normal(0, purpose, numbers, SHAPE)


def mean(images: LatentImages, rows: np.ndarray, mirrored: np.ndarray, numbers: range) -> None:
    """Take posterior means."""
    images.take(rows, mirrored, None)


def drawn(images: LatentImages, rows: np.ndarray, mirrored: np.ndarray, numbers: range) -> None:
    """Draw from posteriors."""
    images.take(rows, mirrored, noise("posterior", numbers))


def both(images: LatentImages, rows: np.ndarray, mirrored: np.ndarray, numbers: range) -> None:
    """Draw from posteriors, and draw the diffusion's noise."""
    drawn(images, rows, mirrored, numbers)
    noise("noise", numbers)


WAYS = {
    "posterior mean": mean,
    "drawn from the posterior": drawn,
    "drawn, and the diffusion's noise": both,
}


def measure(images: LatentImages, way: Callable) -> tuple[float, float]:
    """Return latents per second over a permutation of all: by the clock, by processor time."""
    order = generator(0, "data order").permutation(len(images))
    mirrored = generator(0, "flip").random(len(images)) < 0.5
    batches = range(0, len(images) - BATCH + 1, BATCH)
    clock, processor = time.perf_counter(), time.process_time()
    for first in batches:
        part = slice(first, first + BATCH)
        way(images, order[part], mirrored[part], range(first, first + BATCH))
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return len(batches) * BATCH / clock, len(batches) * BATCH / processor


def report(name: str, rates: list[tuple[float, float]]) -> None:
    """Print the best rates of a way of loading."""
    clock, processor = (max(column) for column in zip(*rates, strict=True))
    print(f"{clock:9,.0f} latents/s, {processor:9,.0f} per processor second: {name}", flush=True)


def main() -> None:
    """Print one line per way of loading."""
    torch.set_num_threads(THREADS)
    config = LatentsConfig(autoencoder="random")
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as temporary:
        folder = Path(temporary)
        make(folder, config)

        def opened() -> LatentImages:
            return LatentImages(LatentStore(folder, config))

        gigabytes = sum(path.stat().st_size for path in folder.glob("*.npy")) / 1e9
        print(f"{IMAGES:,} images, {gigabytes:.2f} GB, {THREADS} threads; goal {GOAL:,} per second")
        for name, way in WAYS.items():
            report(name, [measure(opened(), way) for _ in range(3)])
        # Only once nobody has the files mapped does the kernel forget them.
        for name in ("posterior mean", "drawn from the posterior"):
            forget(folder)
            report(f"{name}, cold", [measure(opened(), WAYS[name])])


main()
