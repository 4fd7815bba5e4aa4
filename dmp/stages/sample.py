"""Sampling a trained model, and keeping images and features."""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from dmp.backbones import DiT
from dmp.config import RunConfig
from dmp.files import atomic_path
from dmp.metrics.features import Features, save_features
from dmp.sampling import sample_images, sample_labels
from dmp.stages.common import Context, TaskData, has_diverged, load_weights, task_extractor

GRID = 8


def draw(
    context: Context,
    run: RunConfig,
    backbone: DiT,
    data: TaskData,
    seed: int,
    count: int,
    title: str,
) -> tuple[np.ndarray, np.ndarray, Features]:
    """Return ``count`` samples of a model, uint8 ``(n, C, H, W)``, their labels and features."""
    labels = sample_labels(count, data.sample_order(backbone.num_classes))
    batches = sample_images(
        backbone.eval(),
        run.config,
        seed,
        range(count),
        labels,
        context.plan.scale.execution.sampling_batch_size,
        context.device,
        run.precision,
    )
    parts = []
    with tqdm(total=count, desc=title, unit="sample", mininterval=1) as progress:
        for batch in batches:
            parts.append(batch)
            progress.update(len(batch))
    images = np.concatenate(parts)
    return images, labels, task_extractor(context, run.config)(images)


def sample_run(context: Context, run: RunConfig, data: TaskData) -> None:
    """Sample a run's model; keep images and features, so that no statistic needs new samples.

    Of snapshots only the features are kept. Of a run that has diverged there is nothing to sample.
    """
    layout, names = context.layout, (run.task, run.variant, run.seed)
    if has_diverged(layout.weights(*names)):
        nothing = Features(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))
        save_features(layout.samples(*names), nothing)
        return
    for iteration in [*run.snapshots, None]:
        backbone, _ = load_weights(context, run, iteration)
        title = f"sampling {'/'.join(names[:2])}"
        if iteration is not None:
            title += f" at iteration {iteration}"
        images, labels, features = draw(
            context, run, backbone, data, run.sampling_seed, run.config.sampling.samples, title
        )
        if iteration is not None:
            save_features(layout.snapshot_samples(*names, iteration), features)
    save_features(layout.samples(*names), features, images=images, labels=labels)
    save_grid(layout.run(*names) / "samples.png", images)


def save_grid(path: Path, images: np.ndarray) -> None:
    """Write the first 64 images as one picture, small images enlarged without smoothing."""
    tiles = images[: GRID * GRID].transpose(0, 2, 3, 1)
    height, width, channels = tiles.shape[1:]
    rows = -(-len(tiles) // GRID)
    canvas = np.full((rows * (height + 1), GRID * (width + 1), channels), 255, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // GRID) * (height + 1), (index % GRID) * (width + 1)
        canvas[top : top + height, left : left + width] = tile
    picture = Image.fromarray(canvas.squeeze(-1) if channels == 1 else canvas)
    zoom = max(1, 32 // width)
    picture = picture.resize(
        (picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST
    )
    with atomic_path(path) as temporary:
        picture.save(temporary)
