"""Fill the cache: the posterior of every image and of its mirror, a shard for each job.

Images are always encoded in the same batches: the number of jobs changes no bit.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from dmp.data.autoencoder import Autoencoder
from dmp.data.inspection import in_order
from dmp.data.shards import Row, Shards, share
from dmp.data.sources.base import Source

LATENTS, LABELS = "latents", "labels"


@dataclass(frozen=True)
class Pixels:
    """The images of a source, cropped and resized: ``(3, R, R)`` uint8 by number.

    Attributes:
        resolution: R.
        crop: makes ``(3, R, R)`` uint8 of an image and R.
    """

    source: Source
    resolution: int
    crop: Callable[[Image.Image, int], np.ndarray]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.crop(self.source.image(index), self.resolution)

    def batch(self, numbers: Sequence[int]) -> torch.Tensor:
        """Return ``(n, 3, R, R)`` uint8, the images with these numbers.

        Raises:
            DMPError: an image cannot be read.
        """
        # Contiguous whatever the crop returns: convolutions round by the layout in memory.
        return torch.from_numpy(np.ascontiguousarray(np.stack([self[n] for n in numbers])))


def _shards(folder: Path, pixels: Pixels, autoencoder: Autoencoder) -> Shards:
    config = autoencoder.config
    edge = pixels.resolution // config.factor
    images = hashlib.sha256()
    for index in range(len(pixels)):  # what is known without reading them
        line = f"{pixels.source.name(index)}\t{pixels.source.label(index)}\n"
        images.update(line.encode("utf-8", "surrogateescape"))
    identity = {
        "format": "latents",
        "autoencoder": autoencoder.identity,
        "resolution": pixels.resolution,
        "dtype": config.dtype,
        "images": images.hexdigest(),
    }
    arrays = {
        # image or mirror, mean or log-variance
        LATENTS: Row((2, 2, config.channels, edge, edge), config.dtype),
        LABELS: Row((), "int64"),
    }
    return Shards(folder, identity, arrays, len(pixels))


def encode_shard(
    folder: Path,
    pixels: Pixels,
    autoencoder: Autoencoder,
    job: int = 0,
    jobs: int = 1,
    workers: int = 0,
) -> None:
    """Encode one job's share of the images.

    Args:
        folder: of the cache; the same for all jobs.
        autoencoder: encodes them, ``config.batch_size`` at a time.
        job: which of the jobs this is, from 0.
        jobs: how many there are.
        workers: threads that read images; they change no bit.

    Raises:
        DMPError: an image cannot be read, or the folder cannot be written.
    """
    size, block = autoencoder.config.batch_size, autoencoder.config.shard_size
    rows = share(len(pixels), block, job, jobs)
    if not rows:
        return
    numbers = [
        list(range(start, min(start + size, end)))
        for first, end in pairwise([*range(rows.start, rows.stop, block), rows.stop])
        for start in range(first, end, size)
    ]

    def batches() -> Iterator[dict[str, np.ndarray]]:
        loader = in_order(pixels.batch, numbers, workers)
        progress = tqdm(total=len(rows), desc="latents", unit="image", mininterval=1)
        for batch, part in zip(loader, numbers, strict=True):
            posteriors = [autoencoder.encode(images) for images in (batch, batch.flip(-1))]
            both = torch.stack([torch.stack(pair, dim=1) for pair in posteriors], dim=1)
            labels = np.array([pixels.source.label(index) for index in part], np.int64)
            yield {LATENTS: both.numpy(), LABELS: labels}
            progress.update(len(batch))
        progress.close()

    _shards(folder, pixels, autoencoder).write(job, rows, batches())


def index_shards(folder: Path, pixels: Pixels, autoencoder: Autoencoder) -> None:
    """Verify the shards of all jobs, then write the index: the cache is complete.

    Raises:
        DMPError: a shard is missing, damaged, or made from something else.
    """
    _shards(folder, pixels, autoencoder).seal(autoencoder=autoencoder.config.autoencoder)
