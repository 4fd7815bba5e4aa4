"""Sampling a trained model, and keeping images and features."""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate
from torchvision.utils import save_image
from tqdm import tqdm

from dmp.arrayfile import load_arrays, save_arrays
from dmp.backbones import Backbone
from dmp.errors import DMPError
from dmp.files import atomic_path
from dmp.metrics.features import Features, check_features, load_features
from dmp.products.runs import run_products
from dmp.sampling import sample_images, sample_labels
from dmp.sampling.shards import Shard
from dmp.stages.common import (
    Context,
    check_identity,
    decoder,
    has_diverged,
    load_weights,
    task_extractor,
)
from dmp.stages.data import TaskData
from dmp.studies.run import RunConfig

GRID = 8
_NOTHING = Features(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))._asdict()


def draw(
    context: Context,
    run: RunConfig,
    backbone: Backbone,
    data: TaskData,
    seed: int,
    numbers: range,
    title: str,
) -> dict[str, np.ndarray]:
    """Return features and logits of a model's samples of these numbers, and some images.

    The images, uint8 ``(n, C, H, W)``, are those of numbers below ``execution.kept_samples``, with
    their labels. ``second``, ``(n, d)``, are the features of the second opinion, if there is one.

    Raises:
        DMPError: features that are not finite.
    """
    labels = sample_labels(numbers.stop, data.sample_order(backbone.num_classes))[numbers.start :]
    execution = context.plan.scale.execution
    size = execution.at_once(run.task)
    batches = sample_images(
        backbone.eval(),
        run.config,
        seed,
        numbers,
        labels,
        size,
        context.device,
        run.precision,
        decoder(context, run.config),
    )
    extractors = {"features": task_extractor(context, run.config)}
    if run.config.evaluation.second_opinion is not None:
        extractors["second"] = task_extractor(context, run.config, second=True)
    kept = max(0, min(numbers.stop, execution.kept_samples) - numbers.start)
    parts: dict[str, list[np.ndarray]] = {"images": [], "logits": [], **{k: [] for k in extractors}}
    done = 0
    with tqdm(total=len(numbers), desc=title, unit="sample", mininterval=1) as progress:
        for batch in batches:
            for key, extractor in extractors.items():
                # In the same batches: a shard's features then have the bits of the whole's.
                found = extractor(batch, size)
                where = f"samples of {run.task}/{run.variant}/seed{run.seed}"
                check_features(found, where, numbers.start + done)
                parts[key].append(found.features)
                if key == "features":
                    parts["logits"].append(found.logits)
            parts["images"].append(batch[: max(0, kept - done)])
            done += len(batch)
            progress.update(len(batch))
    arrays = {key: np.concatenate(batches) for key, batches in parts.items()}
    return {**arrays, "labels": labels[:kept]}


def sample_run(
    context: Context, run: RunConfig, data: TaskData, shard: Shard | None = None
) -> None:
    """Sample a run's model; keep images and features, so that no statistic needs new samples.

    Of snapshots only the features are kept. Of a run that has diverged there is nothing to sample.
    With ``shard``, that part of the samples is written to a file of its own, for
    :func:`join_shards`.
    """
    names = (run.task, run.variant, run.seed)
    if has_diverged(context.layout.weights(*names)):
        _write(context, run, shard, None, _NOTHING)
        return
    count = run.config.sampling.samples
    numbers = range(count)
    if shard is not None:
        numbers = shard.numbers(count, context.plan.scale.execution.at_once(run.task))
    for iteration in [*run.snapshots, None]:
        if not numbers:
            _write(context, run, shard, iteration, _NOTHING)
            continue
        backbone, _ = load_weights(context, run, iteration)
        title = f"sampling {run.task}/{run.variant}"
        if iteration is not None:
            title += f" at iteration {iteration}"
        arrays = draw(context, run, backbone, data, run.sampling_seed, numbers, title)
        if iteration is not None:
            arrays = {key: arrays[key] for key in Features._fields}
        _write(context, run, shard, iteration, arrays)


def join_shards(context: Context, run: RunConfig, of: int) -> None:
    """Put the parts of a run's samples together: the files are those of an undivided run.

    Raises:
        DMPError: a part is missing, corrupt, or of another configuration.
    """
    layout, names = context.layout, (run.task, run.variant, run.seed)
    folder = layout.shard(*names, 1, of).parent
    diverged = has_diverged(layout.weights(*names))
    for iteration in [None] if diverged else [*run.snapshots, None]:
        parts = [
            _read_shard(layout.shard(*names, number, of, iteration), run)
            for number in range(1, of + 1)
        ]
        # An empty part has no shape that would fit.
        filled = [part for part in parts if len(part["features"])] or [_NOTHING]
        arrays = {key: np.concatenate([part[key] for part in filled]) for key in filled[0]}
        found, expected = len(arrays["features"]), run.config.sampling.samples
        if not diverged and found != expected:
            raise DMPError(
                f"the {of} shards in {folder} hold {found} samples, not {expected}: "
                f"sampling_batch_size has changed between them; sample them again"
            )
        _write(context, run, None, iteration, arrays)
    shutil.rmtree(folder)


def _write(
    context: Context,
    run: RunConfig,
    shard: Shard | None,
    iteration: int | None,
    arrays: dict[str, np.ndarray],
) -> None:
    """Write the samples of a run or a snapshot, or a part of them, and a picture of the first."""
    layout, names = context.layout, (run.task, run.variant, run.seed)
    if shard is not None:
        identity = np.array(run.fingerprint("samples"))
        save_arrays(layout.shard(*names, *shard, iteration), {**arrays, "identity": identity})
    elif iteration is not None:
        save_arrays(layout.snapshot_samples(*names, iteration), arrays)
    else:
        save_arrays(layout.samples(*names), arrays)
        if len(arrays.get("images", ())):
            save_grid(layout.run(*names) / "samples.png", arrays["images"])
        run_products(layout, run)["samples"].mark_finished()  # snapshots came before


def _read_shard(path: Path, run: RunConfig) -> dict[str, np.ndarray]:
    load_features(path)
    arrays = load_arrays(path)
    identity = str(arrays.pop("identity", "unknown"))
    check_identity(path, identity, run.fingerprint("samples"), "sampled")
    return arrays


def save_grid(path: Path, images: np.ndarray) -> None:
    """Write the first 64 images as one picture, small images enlarged without smoothing."""
    tiles = torch.from_numpy(images[: GRID * GRID]).float() / 255
    tiles = interpolate(tiles, scale_factor=max(1, 32 // tiles.shape[-1]))
    with atomic_path(path) as temporary:
        save_image(tiles, temporary, nrow=GRID, padding=1, pad_value=1)
