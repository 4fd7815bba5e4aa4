"""Encoding latents: memory does not grow with the number of images."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmp.config import LatentsConfig
from dmp.data.latents.encode import Pixels, encode_shard, index_shards
from dmp.data.sources.base import Source

EDGE = 16


class Grey(Source):
    """Grey images, each of its own brightness, of several sizes."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> bytes:
        raise NotImplementedError

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (64 + index % 5, 64), (index % 256,) * 3)


def crop(image: Image.Image, resolution: int) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image)[:resolution, :resolution].transpose(2, 0, 1))


def peak_of_caching(folder: Path, config: LatentsConfig, count: int) -> int:
    """Return the most bytes held at once, NumPy's among them, while ``count`` images are cached."""

    class Shrinking:
        """Stands for an autoencoder, and allocates through NumPy, which tracemalloc sees."""

        identity = "none"

        def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            small = pixels.numpy()[:, [0, 1, 2, 0], ::8, ::8].astype(np.float32)
            return torch.from_numpy(small), torch.from_numpy(small.copy())

    autoencoder = Shrinking()
    autoencoder.config = config
    pixels = Pixels(Grey(count), 64, crop)
    tracemalloc.start()
    try:
        encode_shard(folder, pixels, autoencoder)
        index_shards(folder, pixels, autoencoder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shard_size", [32, 10_000])
def test_memory_grows_neither_with_the_images_nor_with_a_shard(tmp_path, shard_size):
    config = LatentsConfig(shard_size=shard_size, batch_size=8)
    peak_of_caching(tmp_path / "warm", config, 32)  # imports and caches of the libraries
    small = peak_of_caching(tmp_path / "small", config, 512)  # enough to fill every buffer
    large = peak_of_caching(tmp_path / "large", config, 1024)
    cached = sum(path.stat().st_size for path in (tmp_path / "large").glob("latents-*.npy"))
    assert cached > 1024 * 2000, "what must not be held is large enough to be seen"
    assert large - small < cached / 8
