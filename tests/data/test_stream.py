"""Example g of a seed is the same whatever the batch size, the process or the history."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits

from dmp.config import DataConfig
from dmp.data.examples import Pixels
from dmp.data.images import load_split, to_model, to_pixels
from dmp.data.registry import DATASETS, Images, dataset, dataset_info, digits
from dmp.data.stream import GlobalBatches, TrainingStream
from dmp.errors import DMPError

COUNT = 37


def make_stream(seed: int = 0, **options) -> TrainingStream:
    images = np.arange(COUNT * 4, dtype=np.uint8).reshape(COUNT, 1, 2, 2)
    data = Pixels(Images(images, np.arange(COUNT) % 10))
    captions = 10 * np.arange(3) + np.arange(10)[:, None]
    options = {
        "flip": True,
        "label_dropout": 0.2,
        "null_label": 99,
        "captions": captions,
        "gate_noise": (2, 3),
    } | options
    return TrainingStream(data, seed, 1000, **options)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_example_depends_on_seed_and_number_alone(numbers, seed):
    together = make_stream(seed).__getitems__(numbers)
    for position, number in enumerate(numbers):
        alone = make_stream(seed)[number]
        for left, right in zip(together, alone, strict=True):
            assert torch.equal(left[position], right[0])


@given(st.integers(1, 4), st.integers(0, 30), st.integers(1, 3))
def test_processes_share_the_global_batch_without_overlap(processes, first, share):
    size = processes * share
    batches = [
        list(GlobalBatches(first, first + 3, size, process, processes))
        for process in range(processes)
    ]
    for step in range(3):
        numbers = [n for process in batches for n in process[step]]
        assert numbers == list(range((first + step) * size, (first + step + 1) * size))


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own():
    stream = make_stream(flip=False)
    epochs = [stream.__getitems__(range(e * COUNT, (e + 1) * COUNT)).images for e in range(2)]
    values = [e[:, 0, 0, 0] for e in epochs]
    assert torch.equal(values[0].sort().values, values[1].sort().values)
    assert not torch.equal(values[0], values[1])
    assert len(values[0].unique()) == COUNT


def test_timesteps_are_uniform_and_noise_is_normal():
    batch = make_stream().__getitems__(range(8000))
    assert stats.kstest(batch.timesteps.numpy() / 1000, "uniform").pvalue > 1e-3
    assert stats.kstest(batch.noise.numpy().ravel(), "norm").pvalue > 1e-3
    assert batch.timesteps.min() >= 0
    assert batch.timesteps.max() <= 999


def test_labels_are_dropped_and_images_mirrored_at_their_rates():
    stream = make_stream()
    batch = stream.__getitems__(range(8000))
    assert float((batch.labels == 99).float().mean()) == pytest.approx(0.2, abs=0.02)
    plain = make_stream(flip=False).__getitems__(range(8000)).images
    mirrored = (batch.images != plain).flatten(1).any(dim=1)
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert torch.equal(batch.images[mirrored], plain[mirrored].flip(-1))


def test_each_example_takes_a_caption_of_its_label_at_random():
    stream = make_stream(label_dropout=0.0)
    batch, plain = (
        s.__getitems__(range(3000)) for s in (stream, make_stream(label_dropout=0.0, captions=None))
    )
    assert torch.equal(batch.labels % 10, plain.labels)
    counts = torch.bincount(batch.labels // 10)
    assert len(counts) == 3
    assert (abs(counts - 1000) < 100).all()


def test_gate_noise_is_standard_normal_and_its_own():
    noise = make_stream().__getitems__(range(2000)).gate_noise
    assert noise.shape == (2000, 2, 3)
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    assert make_stream(gate_noise=None)[0].gate_noise.numel() == 0


def test_seeds_differ():
    first, second = (make_stream(seed).__getitems__(range(64)) for seed in (0, 1))
    assert not torch.equal(first.noise, second.noise)
    assert not torch.equal(first.timesteps, second.timesteps)
    assert not torch.equal(first.images, second.images)


def drawn_stream(seed: int, **options) -> TrainingStream:
    return TrainingStream(Drawn(), seed, 1000, flip=False, **options)


@pytest.mark.parametrize("make", [make_stream, drawn_stream])
@pytest.mark.parametrize("seed", range(4))
def test_further_training_draws_nothing_that_the_baselines_training_drew(seed, make):
    first, second = (
        make(seed, phase=phase).__getitems__(range(200))
        for phase in ("pretraining", "further training")
    )
    for name in ("images", "timesteps"):
        assert not torch.equal(getattr(first, name), getattr(second, name)), name
    # Not shifted against each other, either.
    noises = torch.cat([first.noise, second.noise]).flatten(1)
    assert len(torch.unique(noises, dim=0)) == 400


def test_a_stream_goes_on_behind_the_examples_that_were_used():
    whole = make_stream(2, phase="pretraining").__getitems__(range(300))
    rest = make_stream(2, phase="pretraining", skip=123).__getitems__(range(177))
    for all_of_it, part in zip(whole, rest, strict=True):
        assert torch.equal(all_of_it[123:], part)


def test_digits_are_scikit_learns():
    theirs, ours = load_digits(), digits()
    assert np.array_equal(ours.images[:, 0], np.rint(theirs.images * 255 / 16))
    assert np.array_equal(ours.labels, theirs.target)


def test_digits_are_split_without_overlap():
    train, held_out = load_split(DataConfig(name="digits", held_out=0.2))
    assert (len(train.images), len(held_out.images)) == (1438, 359)
    rows = np.concatenate([train.images, held_out.images]).reshape(1797, -1)
    real = np.rint(load_digits().data * 255 / 16).astype(np.uint8)
    assert (np.sort(rows.view("V64").ravel()) == np.sort(real.view("V64").ravel())).all()
    assert len(np.unique(held_out.labels)) == 10


@given(st.lists(st.integers(0, 255), min_size=1))
def test_pixels_survive_the_way_to_model_values_and_back(values):
    pixels = torch.tensor(values, dtype=torch.uint8)
    assert torch.equal(to_pixels(to_model(pixels)), pixels)
    assert to_model(pixels).abs().max() <= 1


def test_values_beyond_the_range_are_clamped():
    values = torch.tensor([-3.0, 3.0, float("inf")])
    assert to_pixels(values).tolist() == [0, 255, 255]


def test_unknown_dataset_names_the_nearest():
    with pytest.raises(DMPError, match=r"unknown dataset 'digit': did you mean 'digits'\?"):
        dataset_info("digit")


def test_a_dataset_has_as_many_images_as_planning_takes_it_to_have():
    info = dataset_info("digits")
    assert info.images == len(info.load().images)


def test_a_new_dataset_is_one_function(monkeypatch):
    monkeypatch.setattr("dmp.data.registry.DATASETS", dict(DATASETS))

    @dataset("squares", image_size=4, channels=1, classes=2, flip=True)
    def squares() -> Images:
        return Images(np.full((10, 1, 4, 4), 7, np.uint8), np.arange(10) % 2)

    train, held_out = load_split(DataConfig(name="squares", held_out=0.3))
    assert (len(train.images), len(held_out.images)) == (7, 3)


class Drawn:
    """Examples that are nothing but their draw, as latents are drawn from their posteriors."""

    noisy, shape, labels = True, (2, 4, 4), np.zeros(9, np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows, mirrored, noise):
        return noise + torch.from_numpy(rows)[:, None, None, None]


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8, unique=True))
@settings(max_examples=20, deadline=None)
def test_a_drawn_example_depends_on_its_number_alone_and_not_on_the_diffusions_noise(numbers):
    stream = TrainingStream(Drawn(), 0, 1000, flip=True)
    together = stream.__getitems__(numbers)
    for place, number in enumerate(numbers):
        alone = stream[number]
        assert torch.equal(together.images[place], alone.images[0])
        assert torch.equal(together.noise[place], alone.noise[0])
    assert not torch.equal(together.images.frac(), together.noise.frac())


def test_draws_of_an_example_are_standard_normal_and_new_in_each_epoch():
    stream = TrainingStream(Drawn(), 0, 1000, flip=False)
    batch = stream.__getitems__(range(4500))
    draws = batch.images - batch.images.mean(dim=(1, 2, 3), keepdim=True).round()
    assert abs(float(batch.noise.mean())) < 0.02
    assert float(batch.noise.std()) == pytest.approx(1, abs=0.02)
    assert len(torch.unique(draws.flatten(1), dim=0)) == len(draws)
