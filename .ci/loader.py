"""How many latents per second one process draws from local disk, in random order, on one thread.

    python .ci/loader.py [images] [folder]

Makes a cache of random posteriors (4×32×32, float16, 32 KiB per image with its mirror) in a
temporary folder, takes a permutation of it in batches of 256, and prints the best of three passes.
`cold` is the first pass, after the kernel was asked to forget the files. The goal is 20,000 per
second with the draw from the posterior; a training stream draws the diffusion's noise as well.
"""

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from dmp.config import LatentsConfig
from dmp.data.latents import LatentImages, LatentStore
from dmp.data.latents.encode import ARRAY, LABELS
from dmp.data.noise import standard_normal
from dmp.data.shards import Row, Shards
from dmp.rng import generator

IMAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
SHAPE = (4, 32, 32)
BATCH = 256
GOAL = 20_000


def make(folder: Path, config: LatentsConfig) -> None:
    """Write a finished cache of random posteriors."""
    identity = {"format": "latents", "autoencoder": "random", "resolution": 256, "dtype": "float16"}
    row = Row((2, 2, *SHAPE), config.dtype)
    shards = Shards(folder, identity, {ARRAY: row}, IMAGES, config.shard_size)
    for number in range(len(shards)):
        rows = shards.rows(number)
        random = generator(0, "loader benchmark", number)
        batches = (
            random.standard_normal((len(rows[start : start + BATCH]), *row.shape), np.float32)
            for start in range(0, len(rows), BATCH)
        )
        shards.write(number, "", ({ARRAY: batch} for batch in batches))
    labels = np.zeros(IMAGES, np.int64)
    np.save(folder / LABELS, labels)
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    shards.seal(lambda _: "", autoencoder=config.autoencoder, labels=digest)


def forget(folder: Path) -> None:
    """Ask the kernel to drop the files from its cache, so that the next pass reads the disk."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(images: LatentImages, take) -> float:
    """Return latents per second over a permutation of all."""
    order = generator(0, "data order").permutation(len(images))
    mirrors = generator(0, "flip").random(len(images)) < 0.5
    batches = range(0, len(images) - BATCH + 1, BATCH)
    start = time.perf_counter()
    for first in batches:
        part = slice(first, first + BATCH)
        take(order[part], mirrors[part], range(first, first + BATCH))
    return len(batches) * BATCH / (time.perf_counter() - start)


def main() -> None:
    """Print one line per way of loading."""
    torch.set_num_threads(1)
    config = LatentsConfig(autoencoder="random")
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as temporary:
        folder = Path(temporary)
        make(folder, config)

        def opened() -> LatentImages:
            return LatentImages(LatentStore(folder, config))

        def noise(purpose: str, numbers: range) -> torch.Tensor:
            return standard_normal(0, purpose, numbers, SHAPE)

        images = opened()
        ways = {
            "posterior mean": lambda r, m, n: images.take(r, m, None),
            "drawn from the posterior": lambda r, m, n: images.take(r, m, noise("posterior", n)),
            "drawn, and the diffusion's noise": lambda r, m, n: (
                images.take(r, m, noise("posterior", n)),
                noise("noise", n),
            ),
        }
        gigabytes = sum(path.stat().st_size for path in folder.glob("*.npy")) / 1e9
        print(f"{IMAGES:,} images, {gigabytes:.2f} GB, one thread; goal {GOAL:,} per second")
        for name, take in ways.items():
            rates = []
            for _ in range(3):
                rates.append(measure(images, take))
            print(f"{max(rates):10,.0f} latents/s  {name}")
        del images
        forget(folder)
        images = opened()
        cold = measure(images, ways["drawn from the posterior"])
        print(f"{cold:10,.0f} latents/s  drawn from the posterior, cold")


main()
