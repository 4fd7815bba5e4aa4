"""Before any training: captions, the feature extractor, and what samples are compared with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dmp.config import DataConfig, TaskConfig
from dmp.data.autoencoder import Autoencoder
from dmp.data.captions import Captions, encode, save_captions
from dmp.data.crop import center_crop
from dmp.data.images import load_extractor_split, load_split
from dmp.data.latents.encode import Pixels, encode_shard, index_shards
from dmp.data.registry import dataset_info
from dmp.data.sources.base import Source
from dmp.data.text import TextStore
from dmp.data.text import encode_captions as encode_clip
from dmp.data.textencoder import load_text_encoder
from dmp.errors import DMPError
from dmp.files import write_json
from dmp.metrics import classifier
from dmp.metrics.fidelity import distance
from dmp.metrics.reference import Floor, gather_reference, read_published, save_reference
from dmp.products.prepared import (
    captions_product,
    extractor_product,
    latents_part_product,
    latents_product,
    reference_product,
)
from dmp.rng import generator
from dmp.stages.common import Context, open_autoencoder, task_extractor
from dmp.stages.data import also_trained_on, open_checked, pixel_batches, split_on_disk

# Samples of text-to-image models are drawn for one caption of each of so many images.
EVALUATION_SIZE = 30_000


def encode_captions(context: Context, task: str) -> None:
    """Encode the captions of a task, once.

    Raises:
        DMPError: the task is not conditioned on text, or an image has no caption.
    """
    config = context.plan.scale.tasks[task]
    if config.text is None:
        raise DMPError(f"task '{task}' has no captions: its conditioning is {config.conditioning}")
    if config.text.name is not None:
        captions = _captions_on_disk(context, task, config.data, config.text.name)
    else:
        phrases = dataset_info(config.data.name).phrases
        if phrases is None:
            raise DMPError(f"dataset '{config.data.name}' of task '{task}' has no captions")
        captions = encode(phrases(), config.text)
    save_captions(context.layout.captions(task), captions)
    captions_product(context.plan, context.layout, task).mark_finished()


def _captions_on_disk(context: Context, task: str, data: DataConfig, encoder: str) -> Captions:
    """Encode the captions of a dataset's images, and of its split for evaluation."""
    source = open_checked(context, data.name)
    texts = [source.captions(index) for index in range(len(source))]
    each = min(map(len, texts))
    if not each:
        lacking = source.name(next(i for i, captions in enumerate(texts) if not captions))
        raise DMPError(f"{lacking} has no caption, and task '{task}' needs one of each image")
    train, held_out = split_on_disk(context, data.name, data.held_out)
    if data.test is None:
        asked = one_caption_each(source, held_out)
    else:
        test, left_out = open_checked(context, data.test_name), also_trained_on(context, data)
        asked = one_caption_each(test, evaluation_images(len(test), left_out=left_out))
    folder = context.layout.text(task)
    every = [text for captions in texts for text in captions[:each]]
    model = load_text_encoder(encoder, context.device)
    *known, _ = encode_clip(folder, [*every, *asked], model)  # the empty caption is the last
    number = {text: place for place, text in enumerate(known)}
    numbers = np.array([number[text] for text in every]).reshape(len(texts), each)
    order = np.array([number[text] for text in asked])
    store = TextStore(folder, encoder)
    embeddings = store.pooled(np.arange(len(store)))
    return Captions(embeddings, numbers[train], numbers[held_out], order, known)


def evaluation_images(
    count: int, most: int = EVALUATION_SIZE, left_out: Sequence[int] = ()
) -> np.ndarray:
    """Return the numbers of the images whose captions samples are drawn for: ``most`` of ``count``.

    They are the first of a permutation without those that are left out, in the order of their
    numbers: a smaller set is part of a larger one.
    """
    order = generator(0, "evaluation images").permutation(count)
    return np.sort(order[~np.isin(order, left_out)][:most])


def one_caption_each(source: Source, images: np.ndarray) -> list[str]:
    """Return a caption of each image, which depends on the image's number alone.

    Raises:
        DMPError: an image has none.
    """
    chosen = []
    for image in images.tolist():
        captions = source.captions(image)
        if not captions:
            raise DMPError(f"{source.base / source.name(image)}: the image has no caption")
        draw = generator(0, "evaluation caption", image)
        chosen.append(captions[int(draw.integers(len(captions)))])
    return chosen


def train_extractor(context: Context, dataset: str) -> None:
    """Train the dataset's own classifier, by the configuration of the first task that uses it."""
    task = next(t for t in context.plan.scale.tasks.values() if t.data.name == dataset)
    _, held_out = load_split(task.data)
    epochs = task.evaluation.extractor.epochs
    own = load_extractor_split(task.data)
    model = classifier.train_classifier(own, dataset_info(dataset), epochs)
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
    encode_shard(*_latents(context, dataset), part - 1, of, workers)
    write_json(context.layout.latents_part(dataset, part, of), {"part": part, "of": of})
    latents_part_product(context.plan, context.layout, dataset, part, of).mark_finished()


def verify_parts(context: Context, dataset: str) -> None:
    """Verify a dataset's latents, and write the index that makes them readable."""
    index_shards(*_latents(context, dataset))
    latents_product(context.plan, context.layout, dataset).mark_finished()


def _latents(context: Context, dataset: str) -> tuple[Path, Pixels, Autoencoder]:
    """Return where a dataset's latents go, and what they are made of."""
    data = context.plan.encoded(dataset)
    assert data.source is not None  # the plan has seen to both
    assert data.latents is not None
    pixels = Pixels(open_checked(context, dataset), data.source.resolution, center_crop)
    autoencoder = open_autoencoder(data.latents, context.device)
    return context.layout.latents(dataset), pixels, autoencoder


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
        if config.evaluation.reference == "train":
            held_out = gather_reference(_real_images(context, config, "held-out"), extractor, 1)
            floor = distance(held_out.mean, held_out.covariance, reference)
            reference = reference._replace(floor=Floor(floor, held_out.count))
    else:
        reference = read_published(context.data / config.evaluation.reference_file, extractor)
    save_reference(context.layout.reference(task), reference)
    reference_product(context.plan, context.layout, task).mark_finished()


def _real_images(
    context: Context, config: TaskConfig, which: str | None = None
) -> Iterator[np.ndarray]:
    """Yield real images, uint8 ``(n, C, H, W)``; those that samples are compared with, if None."""
    which = which or config.evaluation.reference
    if config.data.source is None:
        train, held_out = load_split(config.data)
        parts = {"train": [train], "held-out": [held_out], "all": [train, held_out]}
        yield from (part.images for part in parts[which])
        return
    name = config.data.test_name if which == "test" else config.data.name
    source = open_checked(context, name)
    train, held_out = split_on_disk(context, name, config.data.held_out)
    both = np.concatenate([train, held_out])
    rows = {"train": train, "held-out": held_out, "all": both, "test": both}[which]
    if which == "test":
        rows = rows[~np.isin(rows, also_trained_on(context, config.data))]
    title = f"real images of {config.data.name}"
    with tqdm(total=len(rows), desc=title, unit="image", mininterval=1) as progress:
        for batch in pixel_batches(source, config.data.source.resolution, rows):
            yield batch
            progress.update(len(batch))
