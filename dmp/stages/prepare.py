"""Before any training: captions, the feature extractor, and what samples are compared with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dmp.config import LatentsConfig, TaskConfig
from dmp.data.captions import Captions, encode, save_captions
from dmp.data.crop import center_crop
from dmp.data.images import held_out_split, load_split
from dmp.data.registry import dataset_info
from dmp.data.sources import Source, evaluation_captions
from dmp.data.sources.coco import EVALUATION_SIZE
from dmp.data.text import TextStore
from dmp.errors import DMPError
from dmp.files import write_json
from dmp.metrics import classifier
from dmp.metrics.reference import gather_reference, read_published, save_reference
from dmp.products.prepared import (
    captions_product,
    extractor_product,
    latents_part_product,
    latents_product,
    reference_product,
)
from dmp.rng import generator
from dmp.stages.common import Context, task_extractor
from dmp.stages.data import open_checked, pixel_batches
from dmp.stages.latents import Crop, encode_latents, index_latents
from dmp.stages.text import encode_text


def encode_captions(context: Context, task: str) -> None:
    """Encode the captions of a task, once.

    Raises:
        DMPError: the task is not conditioned on text, or an image has no caption.

    """
    config = context.plan.scale.tasks[task]
    if config.text is None:
        raise DMPError(f"task '{task}' has no captions: its conditioning is {config.conditioning}")
    if config.data.source is None:
        phrases = dataset_info(config.data.name).phrases
        assert phrases is not None  # the plan has checked that
        captions = encode(phrases(), config.text)
    else:
        captions = _captions_on_disk(context, task, config)
    save_captions(context.layout.captions(task), captions)
    captions_product(context.plan, context.layout, task).mark_finished()


def _captions_on_disk(context: Context, task: str, config: TaskConfig) -> Captions:
    """Encode the captions of a dataset's images, and of its split for evaluation."""
    assert config.text is not None
    assert config.text.name is not None
    source = open_checked(context, config.data.name)
    texts = [source.captions(index) for index in range(len(source))]
    each = min(map(len, texts))
    if not each:
        lacking = source.name(next(i for i, captions in enumerate(texts) if not captions))
        raise DMPError(f"{lacking} has no caption, and task '{task}' needs one of each image")
    train, held_out = held_out_split(len(source), config.data.held_out)
    if config.data.test is None:
        asked = [_one_of(texts[row], row) for row in held_out.tolist()]
    else:
        test = open_checked(context, config.data.test_name)
        asked = [c.text for c in evaluation_captions(test, min(EVALUATION_SIZE, len(test)))]
    folder = context.layout.text(task)
    every = [text for captions in texts for text in captions[:each]]
    encode_text(folder, [*every, *asked], config.text.name, context.device)
    store = TextStore(folder, config.text.name)
    numbers = store.numbers(every).reshape(len(texts), each)
    # In the store's order; its last caption is the empty one.
    known = list(dict.fromkeys([*every, *asked]))
    embeddings = store.pooled(np.arange(len(store)))
    return Captions(embeddings, numbers[train], numbers[held_out], store.numbers(asked), known)


def _one_of(captions: Sequence[str], row: int) -> str:
    return captions[generator(0, "evaluation caption", row).integers(len(captions))]


def train_extractor(context: Context, dataset: str) -> None:
    """Train the dataset's own classifier, by the configuration of the first task that uses it."""
    task = next(t for t in context.plan.scale.tasks.values() if t.data.name == dataset)
    train, held_out = load_split(task.data)
    epochs = task.evaluation.extractor.epochs
    model = classifier.train_classifier(train, dataset_info(dataset), epochs)
    description = {
        "dataset": dataset,
        "epochs": epochs,
        "held_out_accuracy": classifier.accuracy(model, held_out),
    }
    classifier.save_classifier(context.layout.extractor(dataset), model, description)
    extractor_product(context.plan, context.layout, dataset).mark_finished()


def encode_part(context: Context, dataset: str, part: int, of: int) -> None:
    """Encode one of ``of`` parts of a dataset's images, numbered from 1."""
    workers = context.plan.scale.execution.threads - 1
    images = _images(context, dataset)
    encode_latents(*images, context.device, part - 1, of, workers)
    write_json(context.layout.latents_part(dataset, part, of), {"part": part, "of": of})
    latents_part_product(context.plan, context.layout, dataset, part, of).mark_finished()


def verify_parts(context: Context, dataset: str) -> None:
    """Verify a dataset's latents, and write the index that makes them readable."""
    index_latents(*_images(context, dataset))
    latents_product(context.plan, context.layout, dataset).mark_finished()


def _images(context: Context, dataset: str) -> tuple[Path, Source, int, Crop, LatentsConfig]:
    """Return where a dataset's latents go, and what they are made of."""
    data = context.plan.encoded(dataset)
    # Plan.encoded has no other datasets.
    assert data.source is not None
    assert data.latents is not None
    source = open_checked(context, dataset)
    folder = context.layout.latents(dataset)
    return folder, source, data.source.resolution, center_crop, data.latents


def make_reference(context: Context, task: str) -> None:
    """Extract the features of a task's real images; by the second opinion's network too.

    Raises:
        DMPError: the images have not been checked, or the file of a published reference is not
            what it has to be.

    """
    config = context.plan.scale.tasks[task]
    keep = config.evaluation.reference_features
    if config.evaluation.second_opinion is not None:
        # First, since the other file says that all is done.
        second = task_extractor(context, config, second=True)
        reference = gather_reference(_real_images(context, config), second, keep)
        save_reference(context.layout.second_reference(task), reference)
    extractor = task_extractor(context, config)
    if config.evaluation.reference_file is None:
        reference = gather_reference(_real_images(context, config), extractor, keep)
    else:
        reference = read_published(context.data / config.evaluation.reference_file, extractor)
    save_reference(context.layout.reference(task), reference)
    reference_product(context.plan, context.layout, task).mark_finished()


def _real_images(context: Context, config: TaskConfig) -> Iterator[np.ndarray]:
    """Yield the real images that samples are compared with, uint8 ``(n, C, H, W)``."""
    which = config.evaluation.reference
    if config.data.source is None:
        train, held_out = load_split(config.data)
        parts = {"train": [train], "held-out": [held_out], "all": [train, held_out]}
        yield from (part.images for part in parts[which])
        return
    source = open_checked(context, config.data.test_name if which == "test" else config.data.name)
    train, held_out = held_out_split(len(source), config.data.held_out)
    both = np.concatenate([train, held_out])
    rows = {"train": train, "held-out": held_out, "all": both, "test": both}[which]
    title = f"real images of {config.data.name}"
    with tqdm(total=len(rows), desc=title, unit="image", mininterval=1) as progress:
        for batch in pixel_batches(source, config.data.source.resolution, rows):
            yield batch
            progress.update(len(batch))
