"""Before any training: captions, the feature extractor, and what samples are compared with."""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from dmp.config import TaskConfig
from dmp.data.autoencoder import Autoencoder
from dmp.data.captions import encode, save_captions
from dmp.data.crop import center_crop
from dmp.data.images import held_out_split, load_split
from dmp.data.latents import Pixels as LatentPixels
from dmp.data.latents import encode_shards, index_shards
from dmp.data.registry import dataset_info
from dmp.errors import DMPError
from dmp.files import write_json
from dmp.metrics import classifier
from dmp.metrics.reference import gather_reference, read_published, save_reference
from dmp.stages.common import Context, open_autoencoder, task_extractor
from dmp.stages.data import open_checked, pixel_batches


def encode_captions(context: Context, task: str) -> None:
    """Encode the captions of a task, once.

    Raises:
        DMPError: the task is not conditioned on text.

    """
    config = context.plan.scale.tasks[task]
    phrases = dataset_info(config.data.name).phrases
    if config.text is None or phrases is None:
        raise DMPError(f"task '{task}' has no captions: its conditioning is {config.conditioning}")
    save_captions(context.layout.captions(task), encode(phrases(), config.text))


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


def encode_latents(context: Context, dataset: str, part: int, of: int) -> None:
    """Encode one of ``of`` parts of a dataset's images, numbered from 1."""
    pixels, autoencoder, layout = *_pixels(context, dataset), context.layout
    workers = context.plan.scale.execution.threads - 1
    encode_shards(layout.latents(dataset), pixels, autoencoder, part - 1, of, workers)
    write_json(layout.latents_part(dataset, part, of), {"part": part, "of": of})


def index_latents(context: Context, dataset: str) -> None:
    """Verify a dataset's latents, and write the index that makes them readable."""
    index_shards(context.layout.latents(dataset), *_pixels(context, dataset))


def _pixels(context: Context, dataset: str) -> tuple[LatentPixels, Autoencoder]:
    data = context.plan.dataset(dataset)
    # Plan.dataset has no other datasets.
    assert data.source is not None
    assert data.latents is not None
    source, _ = open_checked(context, data)
    pixels = LatentPixels(source, data.source.resolution, center_crop)
    return pixels, open_autoencoder(data.latents, context.device)


def make_reference(context: Context, task: str) -> None:
    """Extract the features of a task's real images; by the second opinion's network too.

    Raises:
        DMPError: the images have not been checked, or the file of a published reference is not
            what it has to be.

    """
    config = context.plan.scale.tasks[task]
    networks = {context.layout.reference(task): False}
    if config.evaluation.second_opinion is not None:
        # First, since the other file says that this is done.
        networks = {context.layout.second_reference(task): True, **networks}
    for path, second in networks.items():
        extractor = task_extractor(context, config, second)
        if config.evaluation.reference_file is None or second:
            keep = config.evaluation.reference_features
            reference = gather_reference(_real_images(context, config), extractor, keep)
        else:
            published = context.data / config.evaluation.reference_file
            reference = read_published(published, extractor)
        save_reference(path, reference)


def _real_images(context: Context, config: TaskConfig) -> Iterator[np.ndarray]:
    """Yield the real images that samples are compared with, uint8 ``(n, C, H, W)``."""
    which = config.evaluation.reference
    if config.data.source is None:
        train, held_out = load_split(config.data)
        parts = {"train": [train], "held-out": [held_out], "all": [train, held_out]}
        yield from (part.images for part in parts[which])
        return
    source, _ = open_checked(context, config.data)
    train, held_out = held_out_split(len(source), config.data.held_out)
    rows = {"train": train, "held-out": held_out, "all": np.concatenate([train, held_out])}[which]
    title = f"real images of {config.data.name}"
    with tqdm(total=len(rows), desc=title, unit="image", mininterval=1) as progress:
        for batch in pixel_batches(source, config.data.source.resolution, rows):
            yield batch
            progress.update(len(batch))
