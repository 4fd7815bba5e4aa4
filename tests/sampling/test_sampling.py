"""A sample is what (model, seed, number) make it, however the work is cut."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig, TaskConfig
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.patching import patch
from dmp.sampling import sample_images, sample_labels

COUNT, CLASSES, SHAPE = 16, 3, (2, 8, 8)


def make_task(
    scale: float = 1.0, steps: int = 5, timesteps: int = 1000, schedule: str = "cosine"
) -> TaskConfig:
    training = {"iterations": 1, "batch_size": 1, "learning_rate": 1e-3}
    pretraining = {"convergence_every": 1, "convergence_samples": 2, "convergence_tolerance": 0.1}
    return TaskConfig.model_validate(
        {
            "stands_for": "a test",
            "data": {"name": "digits", "extractor": 0.2},
            "backbone": {"patch_size": 2, "depth": 2, "hidden_size": 16, "num_heads": 2},
            "diffusion": {"schedule": schedule, "timesteps": timesteps},
            "pretraining": training | pretraining,
            "training": training,
            "sampling": {"steps": steps, "samples": 2, "guidance_scale": scale, "clip": True},
            "evaluation": {"extractor": {"name": "dataset-classifier"}},
        }
    )


def make_backbone(dropout: float = 0.1) -> DiT:
    """Random weights everywhere; freshly initialised, its output would be zero."""
    model = DiT(8, 2, 2, 16, 2, 2, num_classes=CLASSES, class_dropout_prob=dropout)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return model.eval()


def draw(
    backbone: DiT,
    task: TaskConfig,
    numbers: range = range(COUNT),
    batch_size: int = COUNT,
    seed: int = 0,
    precision: str = "fp32",
) -> np.ndarray:
    labels = sample_labels(numbers.stop, np.arange(CLASSES))[numbers.start :]
    drawn = sample_images(backbone, task, seed, numbers, labels, batch_size, "cpu", precision)
    batches = list(drawn)
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    return np.concatenate(batches)


def assert_same_images(actual: np.ndarray, expected: np.ndarray) -> None:
    """Float rounding may move a value across a boundary between two pixel levels; rarely."""
    assert actual.dtype == expected.dtype == np.uint8
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


class Seen:
    """What a backbone is called with."""

    def __init__(self, backbone: DiT) -> None:
        self.calls: list[tuple[torch.Tensor, ...]] = []
        backbone.register_forward_pre_hook(lambda _, inputs: self.calls.append(inputs))


@pytest.fixture(scope="module")
def backbone() -> DiT:
    return make_backbone()


@pytest.fixture(scope="module", params=[1.0, 1.5])
def whole(request, backbone) -> tuple[TaskConfig, np.ndarray]:
    """A task, plain or guided, and its samples drawn in one batch."""
    task = make_task(request.param)
    return task, draw(backbone, task)


# -- cutting the work -----------------------------------------------------------------------------


def test_samples_are_varied_images(whole):
    _, images = whole
    assert images.shape == (COUNT, *SHAPE)
    assert images.std() > 20
    assert len(np.unique(images.reshape(COUNT, -1), axis=0)) == COUNT


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(0, COUNT)), batch_size=st.integers(1, COUNT + 1))
@example(cuts=set(), batch_size=1)
@example(cuts=set(), batch_size=5)
def test_shards_of_any_batch_size_together_are_the_whole(backbone, whole, cuts, batch_size):
    task, expected = whole
    edges = [0, *sorted(cuts), COUNT]
    shards = [range(a, b) for a, b in pairwise(edges) if a < b]
    images = [draw(backbone, task, shard, batch_size) for shard in shards]
    assert_same_images(np.concatenate(images), expected)


@pytest.mark.parametrize("batch_size", [2, 7])
def test_starting_noise_is_that_of_the_number_to_the_last_bit(batch_size):
    def starts(numbers: range, size: int) -> torch.Tensor:
        backbone = make_backbone()
        seen = Seen(backbone)
        draw(backbone, make_task(steps=2), numbers, size)
        return torch.cat([x for x, t, _ in seen.calls if t[0] == 999])

    expected = starts(range(9), 9)
    assert torch.equal(starts(range(9), batch_size), expected)
    assert torch.equal(starts(range(4, 9), batch_size), expected[4:])


def test_another_seed_gives_other_images(backbone, whole):
    task, images = whole
    assert_same_images(draw(backbone, task, seed=0), images)
    assert (draw(backbone, task, seed=1) != images).mean() > 0.5


def test_global_randomness_is_neither_read_nor_moved(backbone, whole):
    task, expected = whole
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = torch.get_rng_state()
        assert np.array_equal(draw(backbone, task), expected)
        assert torch.equal(torch.get_rng_state(), state)


# -- labels and guidance --------------------------------------------------------------------------


@given(count=st.integers(0, 300), classes=st.integers(1, 40))
def test_labels_are_balanced_for_every_count(count, classes):
    labels = sample_labels(count, np.arange(classes))
    counts = np.bincount(labels, minlength=classes)
    assert len(counts) == classes
    assert counts.sum() == count
    assert counts.max() - counts.min() <= 1
    assert np.array_equal(sample_labels(count // 2, np.arange(classes)), labels[: count // 2])


@pytest.mark.parametrize(("numbers", "batch_size"), [(range(10), 4), (range(5, 12), 3)])
def test_label_belongs_to_the_number_and_null_guides(numbers, batch_size):
    backbone = make_backbone()
    seen = Seen(backbone)
    draw(backbone, make_task(1.5, steps=2), numbers, batch_size)
    labels = [y for _, t, y in seen.calls if t[0] == 0]
    conditional = torch.cat([y[: len(y) // 2] for y in labels])
    assert conditional.tolist() == [k % CLASSES for k in numbers]
    assert all((y[len(y) // 2 :] == CLASSES).all() for y in labels)


def test_guidance_and_label_change_the_images(backbone):
    plain, guided = draw(backbone, make_task(1.0)), draw(backbone, make_task(1.5))
    assert (plain != guided).mean() > 0.1
    unconditional = make_backbone()
    table = unconditional.y_embedder.embedding_table.weight
    table.data[:CLASSES] = table.data[0]
    changed = (draw(unconditional, make_task()) != plain).reshape(COUNT, -1).mean(axis=1)
    assert (changed[0::CLASSES] < 0.01).all()
    assert (changed[1::CLASSES] > 0.1).all()


def test_guiding_a_model_without_null_label_is_an_error():
    with pytest.raises(DMPError, match="no null label"):
        draw(make_backbone(dropout=0.0), make_task(1.5))
    assert len(draw(make_backbone(dropout=0.0), make_task(1.0))) == COUNT


# -- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize(
    "config", [PatchConfig(), Variant.parse("prompt-tuning").patch], ids=["dmp", "none"]
)
def test_prompts_reach_the_samples(scale, config):
    """Prompts at zero keep every image, and any others change it, from the same noise."""
    backbone, task = make_backbone(), make_task(scale)
    before = draw(backbone, task)
    attached = patch(backbone, config)
    assert np.array_equal(draw(backbone, task), before)
    nn.init.normal_(attached.prompts, std=2.0, generator=torch.Generator().manual_seed(1))
    changed = (draw(backbone, task) != before).reshape(COUNT, -1)
    assert (changed.mean(axis=1) > 0.1).all()
    attached.remove()
    assert np.array_equal(draw(backbone, task), before)


def test_timesteps_of_the_task_are_those_of_the_samples():
    backbone = make_backbone()
    seen = Seen(backbone)
    draw(backbone, make_task(steps=4, timesteps=100), range(1))
    assert [int(t[0]) for _, t, _ in seen.calls] == [99, 66, 33, 0]


def test_bf16_images_are_close_to_fp32(backbone, whole):
    task, exact = whole
    rounded = draw(backbone, task, precision="bf16")
    difference = np.abs(rounded.astype(int) - exact.astype(int))
    assert 0 < difference.mean() < 0.1 * exact.std()
