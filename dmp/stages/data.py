"""A task's images as its backbone is fed them, whether they are embedded or lie on disk."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dmp.config import DataConfig, TaskConfig
from dmp.data.captions import Captions, load_captions
from dmp.data.crop import center_crop
from dmp.data.examples import Examples, Pixels
from dmp.data.formats import open_source
from dmp.data.images import held_out_split, load_split
from dmp.data.latents.store import LatentImages, LatentStore
from dmp.data.manifest import Manifest, load_manifest
from dmp.data.registry import Images
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.stages.common import Context

READ = 64  # images that are read from disk at once


class TaskData(NamedTuple):
    """A task's images, with the labels that its backbone is fed, and its captions.

    Attributes:
        train: training images; where the task has captions, the labels are rows of
            ``captions.train``, since each example takes one of its row's captions.
        held_out: held-out images; where the task has captions, those of the test split.
        seen: as many training images as there are held-out ones, labelled as in training.
        captions: None where the task has none.
    """

    train: Examples
    held_out: Images
    seen: Images
    captions: Captions | None

    def trained_at(self, edge: int) -> "TaskData":
        """Return embedded data whose images to train on have another resolution."""
        assert isinstance(self.train, Pixels)  # the plan has seen to it
        return self._replace(train=self.train.resized(edge))

    def sample_order(self, classes: int) -> np.ndarray:
        """Return the labels that samples go through in turn: classes, or captions."""
        return np.arange(classes) if self.captions is None else self.captions.order


def task_data(context: Context, task: str, config: TaskConfig) -> TaskData:
    """Return a task's data.

    Raises:
        DMPError: unknown dataset, or its captions or latents have not been computed.
    """
    captions = None
    if config.conditioning == "text":
        captions = load_captions(context.layout.captions(task))
    if config.data.source is None:
        train, held_out, seen = _embedded(config)
    else:
        train, held_out, seen = _on_disk(context, config)
    if captions is not None:
        held_out, seen = _captioned(held_out, captions.test), _captioned(seen, captions.train)
    return TaskData(train, held_out, seen, captions)


def _embedded(config: TaskConfig) -> tuple[Examples, Images, Images]:
    train, held_out = load_split(config.data)
    if config.conditioning == "none":
        train, held_out = (Images(part.images, part.labels * 0) for part in (train, held_out))
    held_out = _first(held_out, config.evaluation.held_out_images)
    return Pixels(train), held_out, _first(train, len(held_out.labels))


def _on_disk(context: Context, config: TaskConfig) -> tuple[Examples, Images, Images]:
    assert config.data.latents is not None  # the configuration has seen to it
    store = LatentStore(context.layout.latents(config.data.name), config.data.latents)
    kept, out = split_on_disk(context, config.data.name, config.data.held_out)
    count = min(len(out), len(kept), config.evaluation.held_out_images)

    def labelled(rows: np.ndarray) -> np.ndarray:
        if config.conditioning == "class":
            return store.labels[rows]
        if config.conditioning == "none":
            return np.zeros(len(rows), np.int64)
        # Each image has captions of its own: its row among those of its split.
        return np.arange(len(rows))

    def few(rows: np.ndarray) -> Images:
        examples = LatentImages(store, rows, labelled(rows))
        numbers = np.arange(len(rows))
        latents = examples.take(numbers, np.zeros(len(rows), bool), None)
        return Images(latents.numpy(), examples.labels)

    return LatentImages(store, kept, labelled(kept)), few(out[:count]), few(kept[:count])


def _first(images: Images, count: int) -> Images:
    return Images(images.images[:count], images.labels[:count])


def _captioned(images: Images, numbers: np.ndarray) -> Images:
    """Give each image one of its row's captions, in turn."""
    turn = np.arange(len(images.labels)) % numbers.shape[1]
    return Images(images.images, numbers[images.labels, turn])


def split_on_disk(context: Context, name: str, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a dataset's other and of its held-out images; no copy is among both.

    Raises:
        DMPError: it has not been checked, or is damaged.
    """
    manifest = _manifest(context, name)
    return held_out_split(manifest.images, held_out, manifest.copies)


def also_trained_on(context: Context, data: DataConfig) -> list[int]:
    """Return the numbers of a split for evaluation that show what a training image shows.

    Raises:
        DMPError: it, or the dataset that is trained on, has not been checked or is damaged, or they
            have not been compared as they are now.
    """
    manifest, trained = (_manifest(context, name) for name in (data.test_name, data.name))
    if manifest.compared not in (None, trained.content_sha256):
        raise DMPError(
            f"dataset '{data.name}' has changed since '{data.test_name}' was compared with it; "
            f"delete {context.layout.manifest(data.test_name)} and check that again"
        )
    return manifest.shared


def _manifest(context: Context, name: str) -> Manifest:
    return load_manifest(context.layout.manifest(name), context.plan.source(name), name)


def open_checked(context: Context, name: str) -> Source:
    """Open a dataset that has been checked.

    Raises:
        DMPError: it has not been checked, is damaged, or has changed since.
    """
    manifest = _manifest(context, name)
    source = open_source(context.plan.source(name), context.data, name)
    if len(source) != manifest.images:
        raise DMPError(
            f"dataset '{name}' had {manifest.images} images when it was checked, and has "
            f"{len(source)} now; delete {context.layout.manifest(name)} and check it again"
        )
    return source


def pixel_batches(source: Source, resolution: int, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Yield images in batches, uint8 ``(n, 3, resolution, resolution)``, cut as for training."""
    for start in range(0, len(numbers), READ):
        part = numbers[start : start + READ]
        yield np.stack([center_crop(source.image(int(n)), resolution) for n in part])
