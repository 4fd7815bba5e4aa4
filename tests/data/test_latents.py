"""The cache of latents: exact, verified, and drawn from at load time; its jobs share the images."""

import hashlib
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import write_autoencoder

from dmp.config import LatentsConfig
from dmp.data.autoencoder import load_autoencoder
from dmp.data.images import to_model
from dmp.data.latents.encode import Pixels, encode_shard, index_shards
from dmp.data.latents.store import LatentImages, LatentStore
from dmp.data.noise import SHARE, standard_normal
from dmp.data.shards import Row, Shards, share
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.files import write_json

EDGE = 32  # pixels, that is 4 latents
COUNT = 11  # three shards of four images, the last of them with three


class FakeSource(Source):
    """Random images from a fixed seed."""

    def __init__(self, count: int = COUNT, broken: int | None = None) -> None:
        self.count, self.broken = count, broken

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{index:05d}.png"

    def read(self, index: int) -> bytes:
        raise NotImplementedError

    def image(self, index: int) -> Image.Image:
        if index == self.broken:
            raise DMPError(f"{self.name(index)} is truncated")
        pixels = np.random.default_rng(index).integers(0, 256, (EDGE, EDGE, 3), np.uint8)
        return Image.fromarray(pixels)

    def label(self, index: int) -> int:
        return index % 3


def as_array(image: Image.Image, resolution: int) -> np.ndarray:
    assert image.size == (resolution, resolution)
    return np.asarray(image).transpose(2, 0, 1)


PIXELS = Pixels(FakeSource(), EDGE, as_array)


def encode_all(folder, pixels, autoencoder, jobs: int = 3, workers: int = 0) -> None:
    for job in reversed(range(jobs)):
        encode_shard(folder, pixels, autoencoder, job, jobs, workers)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = write_autoencoder(tmp_path_factory.mktemp("autoencoder") / "tiny")
    return LatentsConfig(autoencoder=str(folder), dtype="float32", shard_size=4, batch_size=3)


@pytest.fixture(scope="module")
def autoencoder(config):
    return load_autoencoder(config)


@pytest.fixture(scope="module")
def finished(autoencoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    encode_all(folder, PIXELS, autoencoder)
    index_shards(folder, PIXELS, autoencoder)
    return folder


@pytest.fixture
def cache(finished, tmp_path):
    """A finished cache that a test may damage."""
    return shutil.copytree(finished, tmp_path / "latents")


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@torch.no_grad()
def test_cache_holds_what_diffusers_encodes_of_image_and_mirror(finished, config):
    from diffusers import AutoencoderKL

    # Frozen as here: torch takes other kernels, which round otherwise, for weights that train.
    model = AutoencoderKL.from_pretrained(config.autoencoder).requires_grad_(False)
    store = LatentStore(finished, config)
    first = np.ascontiguousarray(np.stack([PIXELS[i] for i in range(3)]))  # the first batch
    images = torch.from_numpy(first)
    for mirrored in (False, True):
        oracle = model.encode(to_model(images.flip(-1) if mirrored else images)).latent_dist
        mean, logvar = store.posterior(np.arange(3), np.full(3, mirrored))
        # The number of threads may move the last bits.
        torch.testing.assert_close(mean, oracle.mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(logvar, oracle.logvar, rtol=1e-5, atol=1e-5)


def test_rows_come_in_the_order_asked_for_across_shards(finished, config):
    store = LatentStore(finished, config)
    rows, mirrored = np.array([10, 0, 5, 5, 3]), np.array([True, False, True, False, False])
    together, _ = store.posterior(rows, mirrored)
    for place, (row, mirror) in enumerate(zip(rows, mirrored, strict=True)):
        alone, _ = store.posterior(np.array([row]), np.array([mirror]))
        assert torch.equal(together[place], alone[0])
    assert len({t.numpy().tobytes() for t in together}) == len(rows)
    for outside in (-1, COUNT):
        with pytest.raises(IndexError):
            store.posterior(np.array([outside]), np.array([False]))


def test_draws_have_the_moments_of_the_posterior(finished, config):
    store = LatentStore(finished, config)
    draws = 20_000
    noise = standard_normal(0, "posterior", range(draws), store.shape)
    drawn = store.draw(np.full(draws, 7), np.full(draws, True), noise) / config.scaling
    mean, logvar = (part[0] for part in store.posterior(np.array([7]), np.array([True])))
    deviation = (logvar / 2).exp()
    # Six standard errors for each of 64 values: a false alarm once in ten million runs.
    assert ((drawn.mean(0) - mean).abs() < 6 * deviation / draws**0.5).all()
    assert ((drawn.var(0) / deviation**2 - 1).abs() < 6 * (2 / draws) ** 0.5).all()


def test_a_draw_is_the_formula(finished, config):
    store = LatentStore(finished, config)
    rows, mirrored = np.arange(COUNT), np.arange(COUNT) % 2 == 0
    noise = standard_normal(1, "posterior", range(COUNT), store.shape)
    mean, logvar = (part.double() for part in store.posterior(rows, mirrored))
    expected = config.scaling * (mean + (logvar / 2).exp() * noise.double())
    torch.testing.assert_close(store.draw(rows, mirrored, noise).double(), expected)
    torch.testing.assert_close(store.mean(rows, mirrored).double(), config.scaling * mean)


@pytest.mark.parametrize(("threads", "count"), [(2, 40), (3, 41), (5, 64)])
def test_threads_change_no_bit_of_the_noise(threads, count):
    shape, before = (4, 32, 32), torch.get_num_threads()
    assert count * np.prod(shape) > 2 * SHARE
    try:
        torch.set_num_threads(1)
        alone = standard_normal(0, "noise", range(count), shape)
        torch.set_num_threads(threads)
        assert torch.equal(standard_normal(0, "noise", range(count), shape), alone)
    finally:
        torch.set_num_threads(before)


def test_half_precision_halves_the_cache_and_moves_latents_by_its_rounding(
    finished, config, tmp_path
):
    half = config.model_copy(update={"dtype": "float16"})
    autoencoder = load_autoencoder(half)
    encode_all(tmp_path, PIXELS, autoencoder)
    index_shards(tmp_path, PIXELS, autoencoder)
    rows, mirrored = np.arange(COUNT), np.zeros(COUNT, bool)
    exact = LatentStore(finished, config).mean(rows, mirrored)
    rounded = LatentStore(tmp_path, half).mean(rows, mirrored)
    torch.testing.assert_close(rounded, exact, rtol=2**-10, atol=1e-6)
    assert not torch.equal(rounded, exact)


def test_images_are_some_rows_of_the_store_with_their_labels(finished, config):
    store = LatentStore(finished, config)
    some = LatentImages(store, np.array([9, 1, 4]))
    assert (len(some), some.shape) == (3, (4, EDGE // 8, EDGE // 8))
    assert some.labels.tolist() == [0, 1, 1]
    mirrored, noise = np.array([False, True]), torch.randn(2, *some.shape)
    drawn = some.take(np.array([2, 0]), mirrored, noise)
    assert torch.equal(drawn, store.draw(np.array([4, 9]), mirrored, noise))
    mean = some.take(np.array([2, 0]), mirrored, None)
    assert torch.equal(mean, store.mean(np.array([4, 9]), mirrored))
    assert len(LatentImages(store)) == COUNT


def test_a_store_goes_to_another_process_as_its_path(finished, config):
    store = LatentStore(finished, config)
    pickled = pickle.dumps(LatentImages(store))
    assert len(pickled) < 4000
    rows, mirrored = np.arange(COUNT), np.ones(COUNT, bool)
    assert torch.equal(pickle.loads(pickled).take(rows, mirrored, None), store.mean(rows, mirrored))


@pytest.mark.parametrize(("jobs", "workers"), [(1, 1), (2, 0), (7, 0)])
def test_the_number_of_jobs_and_workers_changes_no_bit(
    finished, autoencoder, config, tmp_path, jobs, workers
):
    encode_all(tmp_path, PIXELS, autoencoder, jobs, workers)
    index_shards(tmp_path, PIXELS, autoencoder)
    rows, mirrored = np.arange(COUNT), np.arange(COUNT) % 2 == 1
    for one, other in zip(
        LatentStore(tmp_path, config).posterior(rows, mirrored),
        LatentStore(finished, config).posterior(rows, mirrored),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_images_are_read_without_a_process_or_shared_memory(autoencoder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("No space left on device: /dev/shm")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    monkeypatch.setattr(torch.UntypedStorage, "share_memory_", refuse)
    encode_shard(tmp_path, PIXELS, autoencoder, workers=8)
    assert (tmp_path / "shard-00000.json").is_file()


def test_names_that_are_not_utf8_are_part_of_what_was_encoded(autoencoder, tmp_path):
    class Latin1(FakeSource):
        def name(self, index):
            return f"caf\udce9{index}.png"

    encode_shard(tmp_path, Pixels(Latin1(), EDGE, as_array), autoencoder)
    index_shards(tmp_path, Pixels(Latin1(), EDGE, as_array), autoencoder)


@pytest.mark.parametrize(("count", "block", "jobs"), [(11, 4, 3), (11, 4, 7), (8, 4, 1), (9, 1, 4)])
def test_jobs_share_whole_blocks_without_gap_or_overlap(count, block, jobs):
    shares = [share(count, block, job, jobs) for job in range(jobs)]
    assert [row for rows in shares for row in rows] == list(range(count))
    assert all(rows.start % block == 0 for rows in shares if rows)


def test_a_shard_that_is_made_again_takes_the_index_with_it(finished, autoencoder, config, cache):
    # What a kill leaves as well: a temporary file.
    leftover = cache / ".latents-00002.1.tmp.npy"
    leftover.write_bytes(b"half a shard")
    encode_shard(cache, PIXELS, autoencoder, 1, 3)
    with pytest.raises(DMPError, match=r"index\.json does not exist"):
        LatentStore(cache, config)
    index_shards(cache, PIXELS, autoencoder)
    leftover.unlink()
    assert contents(cache) == contents(finished)


def test_rows_that_are_not_as_many_as_said_leave_no_shard(tmp_path):
    shards = Shards(tmp_path, {}, {"a": Row((2,), "float32")}, 4)
    with pytest.raises(ValueError, match="3 rows were made of 4"):
        shards.write(0, range(4), [{"a": np.zeros((3, 2))}])
    assert not list(tmp_path.iterdir())


def test_records_name_content_and_autoencoder(finished, autoencoder):
    index = json.loads((finished / "index.json").read_text())
    assert index["identity"]["autoencoder"] == autoencoder.identity
    assert index["counts"] == [4, 4, 3]
    for number in range(3):
        record = json.loads((finished / f"shard-{number:05d}.json").read_text())
        for name in ("latents", "labels"):
            values = np.load(finished / f"{name}-{number:05d}.npy")
            assert record["sha256"][name] == hashlib.sha256(values.tobytes()).hexdigest()


def flip_a_bit(path, offset: int = -5) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["latents-00001.npy", "labels-00002.npy"])
def test_a_changed_bit_is_found(autoencoder, cache, name):
    flip_a_bit(cache / name)
    with pytest.raises(DMPError, match=rf"{name} is corrupt.*hash"):
        index_shards(cache, PIXELS, autoencoder)
    assert not (cache / "index.json").exists(), "a damaged cache must not count as finished"


def test_a_truncated_shard_is_refused(autoencoder, config, cache):
    path = cache / "latents-00001.npy"
    path.write_bytes(path.read_bytes()[:-100])
    problem = r"latents-00001\.npy is missing, truncated or corrupt"
    with pytest.raises(DMPError, match=problem):
        LatentStore(cache, config)
    with pytest.raises(DMPError, match=problem):
        index_shards(cache, PIXELS, autoencoder)


def test_a_missing_shard_is_named(autoencoder, cache):
    (cache / "shard-00002.json").unlink()
    with pytest.raises(DMPError, match=r"shard-00002\.json does not exist: rows 8 to 10 of 11"):
        index_shards(cache, PIXELS, autoencoder)


def test_values_that_are_not_finite_are_refused(autoencoder, tmp_path):
    class Overflowing:
        config, identity = autoencoder.config, autoencoder.identity

        def encode(self, pixels):
            mean, logvar = autoencoder.encode(pixels)
            mean[-1] = float("inf")
            return mean, logvar

    with pytest.raises(DMPError, match=r"latents of row 2 \(1 of 3\): NaN or infinite values"):
        encode_shard(tmp_path, PIXELS, Overflowing())
    assert not list(tmp_path.iterdir()), "a shard that nobody can use was left there"


def test_shards_of_another_autoencoder_or_of_other_images_are_refused(config, cache, tmp_path):
    other = write_autoencoder(tmp_path / "other", seed=1)
    model = load_autoencoder(config.model_copy(update={"autoencoder": str(other)}))
    with pytest.raises(DMPError, match=r"shard-00000\.json.*identity = .*autoencoder"):
        index_shards(cache, PIXELS, model)
    model = load_autoencoder(config)
    with pytest.raises(DMPError, match=r"shard-00000\.json.*identity = .*images"):
        index_shards(cache, Pixels(FakeSource(12), EDGE, as_array), model)

    class Renamed(FakeSource):
        def name(self, index):
            return f"other/{index}.png"

    with pytest.raises(DMPError, match=r"shard-00000\.json.*identity = .*images"):
        index_shards(cache, Pixels(Renamed(), EDGE, as_array), model)


@pytest.mark.parametrize(
    ("key", "value"),
    [("autoencoder", "another/name"), ("channels", 8), ("factor", 4), ("dtype", "float16")],
)
def test_a_store_of_another_configuration_is_refused(finished, config, key, value):
    with pytest.raises(DMPError, match=rf"latents\.{key} = '?{value}.*was made with"):
        LatentStore(finished, config.model_copy(update={key: value}))


def test_something_else_than_latents_is_refused(config, cache):
    index = json.loads((cache / "index.json").read_text())
    for change, problem in (
        ({"identity": {"format": "captions"}}, "is not the index of latents"),
        ({"counts": [4, 4, 4]}, "does not fit the files of l"),
        ({"arrays": None}, "'arrays' = None: Input should be"),
    ):
        write_json(cache / "index.json", index | change)
        with pytest.raises(DMPError, match=problem):
            LatentStore(cache, config)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_one_sentence_even_from_a_worker(autoencoder, tmp_path, workers):
    pixels = Pixels(FakeSource(broken=5), EDGE, as_array)
    with pytest.raises(DMPError) as caught:
        encode_shard(tmp_path, pixels, autoencoder, workers=workers)
    assert str(caught.value) == "00005.png is truncated"
    assert not list(tmp_path.iterdir()), "of the shard that failed nothing is left"
