"""The stage of latents: jobs, then one index; memory does not grow with the number of images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import write_autoencoder

from dmp.config import LatentsConfig
from dmp.data.latents import LatentStore
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.stages.latents import encode_latents, index_latents

EDGE = 16


class Grey(Source):
    """Grey images, each of its own brightness, of any size."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> bytes:
        raise NotImplementedError

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (EDGE + index, EDGE), (index % 256,) * 3)


def crop(image: Image.Image, resolution: int) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image)[:resolution, :resolution].transpose(2, 0, 1))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    torch.set_num_threads(1)
    folder = write_autoencoder(tmp_path_factory.mktemp("autoencoder") / "tiny")
    return LatentsConfig(autoencoder=str(folder), shard_size=2, batch_size=2)


def test_one_job_leaves_a_finished_cache_and_several_leave_the_same(config, tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    encode_latents(alone, Grey(5), EDGE, crop, config, "cpu")
    for job in range(3):
        encode_latents(shared, Grey(5), EDGE, crop, config, "cpu", job, 3)
        with pytest.raises(DMPError, match=r"index\.json does not exist"):
            LatentStore(shared, config)
    index_latents(shared, Grey(5), EDGE, crop, config)
    assert LatentStore(shared, config).shape == (4, 2, 2)
    for path in alone.iterdir():
        assert path.read_bytes() == (shared / path.name).read_bytes()


def test_input_that_cannot_be_encoded_is_refused(config, tmp_path):
    with pytest.raises(DMPError, match="job = 2 of 2"):
        encode_latents(tmp_path, Grey(5), EDGE, crop, config, "cpu", 2, 2)
    with pytest.raises(DMPError, match="no images"):
        encode_latents(tmp_path, Grey(0), EDGE, crop, config, "cpu")
    with pytest.raises(DMPError, match=r"resolution = 20 is not a multiple of latents\.factor = 8"):
        encode_latents(tmp_path, Grey(5), 20, crop, config, "cpu")


def cache_in_a_process(folder: Path, autoencoder: str, count: int) -> int:
    """Cache ``count`` images in a process of its own and return its peak memory in bytes."""
    code = (
        "import resource, sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from test_latents_stage import Grey, crop\n"
        "from dmp.config import LatentsConfig\n"
        "from dmp.stages.latents import encode_latents\n"
        f"config = LatentsConfig(autoencoder={autoencoder!r}, shard_size=64, batch_size=8)\n"
        f"encode_latents(Path({str(folder)!r}), Grey({count}), 128, crop, config, 'cpu')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    return code
