"""Sampling a trained model, and turning samples and held-out images into numbers."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn
from tqdm import tqdm

from dmp.backbones import DiT
from dmp.bins import bin_label, timestep_bin
from dmp.config import RunConfig, TaskConfig, content_hash
from dmp.errors import DMPError
from dmp.files import atomic_path, write_json, write_text
from dmp.metrics.denoising import denoising_losses
from dmp.metrics.features import Features, load_features, save_features
from dmp.metrics.fidelity import fidelity
from dmp.sampling import sample_images
from dmp.stages.common import Context, image_features, new_diffusion, task_data

COLUMNS = ("metric", "bin", "value", "samples", "protocol", "evaluator")
GRID = 8


def draw(
    context: Context, run: RunConfig, backbone: DiT, seed: int, count: int, title: str
) -> tuple[np.ndarray, Features]:
    """Return ``count`` samples of a model, uint8 ``(n, C, H, W)``, and their features."""
    batches = sample_images(
        backbone.eval(),
        run.config,
        seed,
        range(count),
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
    return images, image_features(context, run.config, images)


def sample_run(context: Context, run: RunConfig, backbone: DiT) -> None:
    """Sample a run's model; keep images and features, so that no statistic needs new samples."""
    layout, names = context.layout, (run.task, run.variant, run.seed)
    count = run.config.sampling.samples
    images, features = draw(
        context, run, backbone, run.seed, count, f"sampling {'/'.join(names[:2])}"
    )
    save_features(layout.samples(*names), features, images=images)
    save_grid(layout.run(*names) / "samples.png", images)


def evaluate_run(context: Context, run: RunConfig, backbone: nn.Module) -> None:
    """Write a run's metrics: of its samples, and of its denoising of held-out images."""
    layout, names = context.layout, (run.task, run.variant, run.seed)
    generated = load_features(layout.samples(*names))
    reference = load_features(layout.reference(run.task))
    protocol = sampling_protocol(run.config, run.precision, reference)
    rows = [
        (name, "all", value, len(generated.features), protocol)
        for name, value in fidelity(generated, reference, run.config.evaluation).items()
    ]
    rows += _denoising_rows(context, run, backbone)
    protocols = {content_hash(p): p for *_, p in rows}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, where, value, samples, manifest in rows:
        if not np.isfinite(value):
            raise DMPError(f"{name} of {'/'.join(map(str, names))} is not finite: {value}")
        # repr gives the shortest text that reads back as the same float.
        evaluator = manifest["evaluator"]
        writer.writerow(
            (name, where, repr(float(value)), samples, content_hash(manifest), evaluator)
        )
    write_json(layout.run(*names) / "protocols.json", protocols)
    write_text(layout.metrics(*names), text.getvalue())


def sampling_protocol(task: TaskConfig, precision: str, reference: Features) -> dict:
    """Return all that makes two FIDs comparable; numbers of different protocols never are."""
    return {
        "kind": "samples",
        "evaluator": task.evaluation.extractor.name,
        "reference": {
            "dataset": task.data.name,
            "split": task.evaluation.reference,
            "images": len(reference.features),
            "features_sha256": hashlib.sha256(reference.features.tobytes()).hexdigest(),
        },
        "sampling": task.sampling.model_dump(mode="json"),
        "schedule": task.diffusion.schedule,
        "labels": "balanced",
        "pixels": "round",
        "precision": precision,
        "kid": [task.evaluation.kid_subset_size, task.evaluation.kid_subsets],
        "neighbours": task.evaluation.neighbours,
        "splits": task.evaluation.splits,
    }


def _denoising_rows(context: Context, run: RunConfig, backbone: nn.Module) -> list[tuple]:
    task, evaluation = run.config, run.config.evaluation
    held_out = task_data(task)[1]
    diffusion = new_diffusion(task)
    losses = denoising_losses(
        backbone, diffusion, held_out, evaluation.timesteps_per_image, context.device
    )
    directory = context.layout.run(run.task, run.variant, run.seed)
    with atomic_path(directory / "denoising.npz") as temporary:
        np.savez(temporary, **losses._asdict())
    protocol = {
        "kind": "denoising",
        "evaluator": "held-out images",
        "dataset": task.data.name,
        "images": len(held_out.images),
        "held_out": task.data.held_out,
        "timesteps_per_image": evaluation.timesteps_per_image,
        "schedule": task.diffusion.schedule,
        "precision": run.precision,
    }
    # The bound is a sum over all timesteps; a mean over sampled ones estimates a T-th of it.
    values = {"denoising_mse": losses.mse, "denoising_vb": losses.vb * diffusion.timesteps}
    bins = timestep_bin(losses.timesteps, evaluation.bins, diffusion.timesteps)
    rows = []
    for name, each in values.items():
        rows.append((name, "all", each.mean(), len(each), protocol))
        for index in range(evaluation.bins):
            inside = each[bins == index]
            label = bin_label(index, evaluation.bins, diffusion.timesteps)
            rows.append((name, label, inside.mean(), len(inside), protocol))
    return rows


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
