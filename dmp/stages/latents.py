"""The latents of a dataset: encoded by any number of jobs, then verified and indexed by one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dmp.config import LatentsConfig
from dmp.data.autoencoder import load_autoencoder
from dmp.data.latents import Pixels, encode_shards, index_shards
from dmp.data.sources.base import Source
from dmp.errors import DMPError

Crop = Callable[[Image.Image, int], np.ndarray]


def encode_latents(
    folder: Path,
    source: Source,
    resolution: int,
    crop: Crop,
    config: LatentsConfig,
    device: str,
    job: int = 0,
    jobs: int = 1,
    workers: int = 0,
) -> None:
    """Encode this job's share of a source's images; with one job, the cache is complete after it.

    Args:
        folder: of the cache; the same for all jobs.
        source: the images.
        resolution: edge in pixels of what is encoded.
        crop: makes ``(3, R, R)`` uint8 of an image and R.
        config: the autoencoder.
        device: ``cpu`` or ``cuda``.
        job: which of the jobs this is, from 0.
        jobs: how many there are; with more than one, :func:`index_latents` follows.
        workers: processes that read images.

    Raises:
        DMPError: an image, the autoencoder or the folder is not as it should be.

    """
    if not 0 <= job < jobs:
        raise DMPError(f"job = {job} of {jobs}: jobs are counted from 0 to {jobs - 1}")
    pixels = Pixels(source, resolution, crop)
    autoencoder = load_autoencoder(config, device)
    encode_shards(folder, pixels, autoencoder, job, jobs, workers)
    if jobs == 1:
        index_shards(folder, pixels, autoencoder)


def index_latents(
    folder: Path, source: Source, resolution: int, crop: Crop, config: LatentsConfig
) -> None:
    """Verify the shards of all jobs and write the index; arguments as :func:`encode_latents`.

    Raises:
        DMPError: a shard is missing, damaged, not finite, or made by something else.

    """
    index_shards(folder, Pixels(source, resolution, crop), load_autoencoder(config))
