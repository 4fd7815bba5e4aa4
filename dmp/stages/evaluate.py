"""Turning samples, held-out images and gates into numbers."""

import csv
import io
from typing import NamedTuple

import numpy as np

from dmp.backbones import Backbone
from dmp.bins import bin_label, timestep_bin
from dmp.config import TaskConfig, content_hash
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.files import atomic_path, read_json, write_json, write_text
from dmp.layout import Layout
from dmp.methods.attached import Attached
from dmp.metrics.denoising import DenoisingLosses
from dmp.metrics.features import Features, check_features, load_features
from dmp.metrics.fidelity import fidelity, frechet_distance
from dmp.metrics.gate import GateRecord, record_gate
from dmp.metrics.reference import Reference, load_reference
from dmp.patching import Patch
from dmp.products.runs import run_products
from dmp.stages.common import (
    Context,
    attach,
    has_diverged,
    load_weights,
    measure_denoising,
    pretrained_backbone,
)
from dmp.stages.data import TaskData
from dmp.stages.provenance import write_config
from dmp.studies.run import RunConfig

COLUMNS = ("metric", "bin", "iteration", "value", "samples", "protocol", "evaluator")


class Row(NamedTuple):
    """One number, and how it was measured."""

    metric: str
    where: str
    iteration: int
    value: float
    samples: int
    protocol: dict


def evaluate_run(context: Context, run: RunConfig, data: TaskData) -> None:
    """Write a run's metrics: of its samples, of its denoising, of its gate, and of snapshots."""
    layout, names = context.layout, (run.task, run.variant, run.seed)
    if has_diverged(layout.weights(*names)):
        _write_diverged(context, run)
        return
    backbone, attached = load_weights(context, run)
    losses = measure_denoising(context, run, backbone, data.held_out)
    if not all(np.isfinite(values).all() for values in _present(losses).values()):
        # The weights are finite, and what they compute is not.
        _write_diverged(context, run)
        return
    generated = load_features(layout.samples(*names))
    reference = load_reference(layout.reference(run.task))
    protocol = sampling_protocol(context, run, reference)
    last = run.iterations
    rows = [
        Row(name, "all", last, value, len(generated.features), protocol)
        for name, value in fidelity(generated, reference, run.config.evaluation).items()
    ]
    rows += _second_opinion(context, run, protocol)
    rows += _denoising_rows(context, run, last, losses, "held-out images", "denoising")
    seen = measure_denoising(context, run, backbone, data.seen)
    rows += _denoising_rows(context, run, last, seen, "training images", "train_denoising")
    gate = _gate(context, run, backbone, attached, data)
    rows += _gate_rows(context, run, last, gate)
    limit = _baseline_loss(context, run, data) * run.config.evaluation.divergence_factor
    rows.append(_diverged(context, run, bool(losses.mse.mean() > limit)))
    if gate is not None:
        untrained = pretrained_backbone(context, run)
        start = _gate(context, run, untrained, attach(run, untrained), data)
        rows += _gate_rows(context, run, 0, start)
    for iteration in run.snapshots:
        generated = load_features(layout.snapshot_samples(*names, iteration))
        fid = frechet_distance(generated, reference)
        rows.append(Row("fid", "all", iteration, fid, len(generated.features), protocol))
        earlier, _ = load_weights(context, run, iteration)
        rows += _denoising_rows(
            context,
            run,
            iteration,
            measure_denoising(context, run, earlier, data.held_out),
            "held-out images",
            "denoising",
        )
    _write_arrays(context, run, losses, gate)
    _write(context, run, rows)


def _write_diverged(context: Context, run: RunConfig) -> None:
    """Write that a run has diverged, and no number: there is none that is finite."""
    _write_arrays(context, run, None, None)
    _write(context, run, [_diverged(context, run, True)])


def _baseline_loss(context: Context, run: RunConfig, data: TaskData) -> float:
    """Return the held-out loss of the baseline that a run rests on; its first run measures it."""
    evaluation = run.config.evaluation
    sizes = [evaluation.timesteps_per_image, evaluation.held_out_images]
    fingerprint = content_hash([run.fingerprint("baseline"), sizes])
    path = context.layout.baseline_loss(run.task, run.baseline_seed)
    if path.is_file():
        found = read_json(path)
        if found.get("fingerprint") == fingerprint:
            return found["mse"]
    losses = measure_denoising(context, run, pretrained_backbone(context, run), data.held_out)
    mse = float(losses.mse.mean())
    write_json(path, {"fingerprint": fingerprint, "mse": mse})
    return mse


def _second_opinion(context: Context, run: RunConfig, protocol: dict) -> list[Row]:
    """Return the Fréchet distance by another network, if the scale has one."""
    config = run.config.evaluation.second_opinion
    if config is None:
        return []
    layout, names = context.layout, (run.task, run.variant, run.seed)
    reference = load_reference(layout.second_reference(run.task))
    with np.load(layout.samples(*names), allow_pickle=False) as file:
        found = Features(file["second"], file["logits"])
    check_features(found, f"{layout.samples(*names)}, second opinion")
    protocol = protocol | {"evaluator": config.name}
    protocol["reference"] = _described(run.config, reference) | {"file": None}
    value = frechet_distance(found, reference)
    return [Row("second_fd", "all", run.iterations, value, len(found.features), protocol)]


def _write_arrays(
    context: Context, run: RunConfig, losses: DenoisingLosses | None, gate: GateRecord | None
) -> None:
    layout, names = context.layout, (run.task, run.variant, run.seed)
    for path, arrays in (
        (layout.denoising(*names), {} if losses is None else _present(losses)),
        (layout.gate(*names), {} if gate is None else gate.arrays()),
    ):
        with atomic_path(path) as temporary:
            np.savez(temporary, **arrays)


def _present(losses: DenoisingLosses) -> dict[str, np.ndarray]:
    return {name: values for name, values in losses._asdict().items() if values is not None}


def _write(context: Context, run: RunConfig, rows: list[Row]) -> None:
    layout, names = context.layout, (run.task, run.variant, run.seed)
    protocols = {content_hash(row.protocol): row.protocol for row in rows}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        if not np.isfinite(row.value):
            where = "/".join(map(str, names))
            raise DMPError(f"{row.metric} of {where} is not finite: {row.value}")
        # repr gives the shortest text that reads back as the same float.
        *head, value, samples, protocol = row
        writer.writerow(
            (*head, repr(float(value)), samples, content_hash(protocol), protocol["evaluator"])
        )
    # The numbers last, and none before that belong to an earlier configuration.
    layout.metrics(*names).unlink(missing_ok=True)
    write_config(layout.run(*names), run)
    write_json(layout.run(*names) / "protocols.json", protocols)
    write_text(layout.metrics(*names), text.getvalue())
    run_products(layout, run)["metrics"].mark_finished()
    write_finished(layout, run)


def write_finished(layout: Layout, run: RunConfig) -> None:
    """Write that all of a run is there."""
    path = layout.finished(run.task, run.variant, run.seed)
    write_text(path, run.fingerprint("metrics") + "\n")


def sampling_protocol(context: Context, run: RunConfig, reference: Reference) -> dict:
    """Return all that makes two FIDs comparable; numbers of different protocols never are."""
    task = run.config
    variance = {} if task.backbone.learns_variance else {"variance": "fixed, the posterior's"}
    return {
        **variance,
        "kind": "samples",
        "evaluator": task.evaluation.extractor.name,
        "reference": _described(task, reference),
        "sampling": task.sampling.model_dump(mode="json"),
        "autoencoder": None if task.data.latents is None else task.data.latents.autoencoder,
        "schedule": task.diffusion.schedule,
        "labels": "captions of the test split" if task.text else "balanced",
        "pixels": "round",
        "precision": run.precision,
        "numerics": context.numerics,
        "kid": [task.evaluation.kid_subset_size, task.evaluation.kid_subsets],
        "neighbours": task.evaluation.neighbours,
        "splits": task.evaluation.splits,
    }


def _described(task: TaskConfig, reference: Reference) -> dict:
    return {
        "dataset": task.data.name,
        "split": task.evaluation.reference,
        "file": task.evaluation.reference_file,
        "images": reference.count,
        "features": len(reference.features.features),
        "sha256": reference.identity,
    }


def _denoising_rows(
    context: Context,
    run: RunConfig,
    iteration: int,
    losses: DenoisingLosses,
    images: str,
    name: str,
) -> list[Row]:
    task, evaluation = run.config, run.config.evaluation
    total = task.diffusion.timesteps
    protocol = {
        "kind": "denoising",
        "evaluator": images,
        "dataset": task.data.name,
        "images": len(losses.mse) // evaluation.timesteps_per_image,
        "held_out": task.data.held_out,
        "conditioning": task.conditioning,
        "timesteps_per_image": evaluation.timesteps_per_image,
        "schedule": task.diffusion.schedule,
        "precision": run.precision,
        "numerics": context.numerics,
    }
    bins = timestep_bin(losses.timesteps, evaluation.bins, total)
    rows = []
    found = {f"{name}_mse": losses.mse}
    if losses.vb is not None:
        # The bound is a sum over all timesteps; a mean over sampled ones estimates a T-th of it.
        found[f"{name}_vb"] = losses.vb * total
    for metric, values in found.items():
        rows.append(Row(metric, "all", iteration, values.mean(), len(values), protocol))
        for index in range(evaluation.bins):
            inside = values[bins == index]
            label = bin_label(index, evaluation.bins, total)
            rows.append(Row(metric, label, iteration, inside.mean(), len(inside), protocol))
    return rows


def _gate(
    context: Context, run: RunConfig, backbone: Backbone, attached: Attached, data: TaskData
) -> GateRecord | None:
    patch = attached.module
    if not isinstance(patch, Patch) or patch.gate is None:
        return None
    timesteps = run.config.evaluation.gate_timesteps
    return record_gate(
        backbone, patch, Diffusion.of(run.config), data.held_out, timesteps, context.device
    )


def _gate_rows(
    context: Context, run: RunConfig, iteration: int, gate: GateRecord | None
) -> list[Row]:
    if gate is None:
        return []
    total, bins = run.config.diffusion.timesteps, run.config.evaluation.bins
    count = len(gate.timesteps)
    protocol = {
        "kind": "gate",
        "evaluator": "held-out images",
        "timesteps": count,
        "numerics": context.numerics,
    }
    rows = [Row("gate_entropy", "all", iteration, gate.entropy.mean(), count, protocol)]
    where = timestep_bin(gate.timesteps, bins, total)
    for index in sorted(set(where.tolist())):
        inside = gate.entropy[where == index]
        label = bin_label(index, bins, total)
        rows.append(Row("gate_entropy", label, iteration, inside.mean(), len(inside), protocol))
    if not gate.uniform:
        for name, value in _levels(gate).items():
            rows.append(Row(name, "all", iteration, value, count, protocol))
    return rows


def _levels(gate: GateRecord) -> dict[str, float]:
    """Return mean weight and evenness of the blocks with K prompts, for each K.

    The entropies of blocks with unlike K have unlike maxima, and at K = 4096 a weight is so small
    that the ε of the importance loss leaves 0.6 % of it.
    """
    found: dict[str, list[float]] = {}
    for block, weights in enumerate(gate.weights):
        k = weights.shape[1]
        found.setdefault(f"gate_weight/{k}", []).append(float(weights.mean(dtype=np.float64)))
        found.setdefault(f"gate_evenness/{k}", []).append(float(gate.evenness[:, block].mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _diverged(context: Context, run: RunConfig, diverged: bool) -> Row:
    protocol = {
        "kind": "divergence",
        "evaluator": "held-out images",
        "factor": run.config.evaluation.divergence_factor,
        "numerics": context.numerics,
    }
    return Row("diverged", "all", run.iterations, float(diverged), 1, protocol)
