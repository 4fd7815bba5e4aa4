"""Fill the cache: the posterior of every image and of its mirror, shard by shard.

Shards are independent: jobs take every n-th one, and a killed job starts where it stopped. Images
are always encoded in the same batches, so that neither the number of jobs nor a kill changes a bit.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from dmp.data.autoencoder import Autoencoder
from dmp.data.shards import Row, Shards
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.files import atomic_path

ARRAY = "latents"
LABELS = "labels.npy"


@dataclass(frozen=True)
class Pixels(Dataset):
    """The images of a source, cropped and resized: ``(3, R, R)`` uint8 by number.

    Attributes:
        source: the images.
        resolution: R.
        crop: makes ``(3, R, R)`` uint8 of an image and R; a function that can be pickled.

    """

    source: Source
    resolution: int
    crop: Callable[[Image.Image, int], np.ndarray]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> np.ndarray | DMPError:
        # An error that crosses from a worker process would arrive wrapped in a traceback.
        try:
            return self.crop(self.source.image(index), self.resolution)
        except DMPError as error:
            return error


def _shards(folder: Path, pixels: Pixels, autoencoder: Autoencoder) -> Shards:
    config = autoencoder.config
    if not len(pixels):
        raise DMPError("there are no images to encode")
    if pixels.resolution % config.factor:
        raise DMPError(
            f"source.resolution = {pixels.resolution} is not a multiple of "
            f"latents.factor = {config.factor}"
        )
    edge = pixels.resolution // config.factor
    identity = {
        "format": "latents",
        "autoencoder": autoencoder.identity,
        "resolution": pixels.resolution,
        "dtype": config.dtype,
    }
    # image or mirror, mean or log-variance
    row = Row((2, 2, config.channels, edge, edge), config.dtype)
    return Shards(folder, identity, {ARRAY: row}, len(pixels), config.shard_size)


def _inputs(pixels: Pixels, rows: range) -> str:
    """Return the hash of the names and labels of images, which are known without reading them."""
    digest = hashlib.sha256()
    for index in rows:
        digest.update(f"{pixels.source.name(index)}\t{pixels.source.label(index)}\n".encode())
    return digest.hexdigest()


def encode_shards(
    folder: Path,
    pixels: Pixels,
    autoencoder: Autoencoder,
    job: int = 0,
    jobs: int = 1,
    workers: int = 0,
) -> None:
    """Encode the shards ``job``, ``job + jobs``, ... that are not there yet.

    Args:
        folder: of the cache.
        pixels: the images.
        autoencoder: encodes them, ``config.batch_size`` at a time.
        job: which of the jobs this is.
        jobs: among how many the shards are dealt out.
        workers: processes that read images; they change no bit.

    Raises:
        DMPError: an image cannot be read, the folder holds shards that something else has made,
            or cannot be written.

    """
    shards = _shards(folder, pixels, autoencoder)
    mine = range(job, len(shards), jobs)
    todo = [n for n in mine if not shards.is_done(n, _inputs(pixels, shards.rows(n)))]
    total = sum(len(shards.rows(number)) for number in todo)
    with tqdm(total=total, desc="latents", unit="image", mininterval=1) as progress:
        for number in todo:
            _encode_shard(shards, number, pixels, autoencoder, workers, progress.update)


def _encode_shard(
    shards: Shards,
    number: int,
    pixels: Pixels,
    autoencoder: Autoencoder,
    workers: int,
    done: Callable[[int], Any],
) -> None:
    rows = shards.rows(number)
    content = hashlib.sha256()

    def batches() -> Iterator[dict[str, np.ndarray]]:
        size = autoencoder.config.batch_size
        loader = DataLoader(Subset(pixels, rows), size, num_workers=workers, collate_fn=_collate)
        for batch in loader:
            if isinstance(batch, DMPError):
                raise batch
            content.update(batch.numpy().data)
            parts = [autoencoder.encode(images) for images in (batch, batch.flip(-1))]
            posteriors = torch.stack([torch.stack(part, dim=1) for part in parts], dim=1)
            yield {ARRAY: posteriors.numpy()}
            done(len(batch))

    def notes() -> dict[str, Any]:
        # The pixels say which images these were in truth, and batches how they were rounded.
        return {"pixels": content.hexdigest(), "batch_size": autoencoder.config.batch_size}

    shards.write(number, _inputs(pixels, rows), batches(), notes)


def _collate(items: list[np.ndarray | DMPError]) -> torch.Tensor | DMPError:
    for item in items:
        if isinstance(item, DMPError):
            return item
    # Contiguous whatever the crop returns: convolutions round by the layout in memory.
    return torch.from_numpy(np.ascontiguousarray(np.stack(items)))


def index_shards(folder: Path, pixels: Pixels, autoencoder: Autoencoder) -> None:
    """Verify all shards, then write labels and index: the cache is complete.

    Raises:
        DMPError: a shard is missing, damaged, not finite, or made by something else.

    """
    shards = _shards(folder, pixels, autoencoder)
    labels = np.array([pixels.source.label(index) for index in range(len(pixels))], np.int64)
    with atomic_path(folder / LABELS) as temporary:
        np.save(temporary, labels)
    shards.seal(
        lambda number: _inputs(pixels, shards.rows(number)),
        autoencoder=autoencoder.config.autoencoder,
        labels=hashlib.sha256(labels.tobytes()).hexdigest(),
    )
