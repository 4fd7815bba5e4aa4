"""Turning samples, held-out images and gates into numbers."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from dmp.arrayfile import load_arrays, save_arrays
from dmp.backbones import Backbone
from dmp.config import BackboneConfig, TaskConfig, content_hash, from_file
from dmp.data.images import resized_images
from dmp.data.registry import Images
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.files import write_csv, write_json, write_text
from dmp.layout import Layout
from dmp.methods import find_method
from dmp.methods.attached import Attached
from dmp.metrics.base import Metric, Samples, State, When
from dmp.metrics.denoising import DenoisingLosses
from dmp.metrics.features import Features, check_features, load_features
from dmp.metrics.gate import GateRecord, record_gate
from dmp.metrics.reference import Reference, load_reference
from dmp.metrics.registry import find_metric, measured
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

COLUMNS = ["metric", "bin", "iteration", "value", "samples", "protocol", "evaluator"]


class Row(NamedTuple):
    """One number, and how it was measured."""

    metric: str
    where: str
    iteration: int
    value: float
    samples: int
    protocol: dict


class RunState(State):
    """A run as metrics see it.

    Args:
        when: after its last iteration, on its curve, or with a patch that has not been trained.
    """

    def __init__(
        self, context: Context, run: RunConfig, data: TaskData, when: When, iteration: int
    ) -> None:
        self.task, self.precision, self.numerics = run.config, run.precision, context.numerics
        self.when, self.iteration = when, iteration
        self.is_baseline = run.variant == "baseline"
        self._context, self._run, self._data = context, run, data
        self._names = (run.task, run.variant, run.seed)

    @cached_property
    def model(self) -> tuple[Backbone, Attached]:
        """The model, and what its method has attached to it."""
        if self.when == "start":
            backbone = pretrained_backbone(self._context, self._run)
            return backbone, attach(self._run, backbone)
        at = self.iteration if self.when == "curve" else None
        return load_weights(self._context, self._run, at)

    @cached_property
    def samples(self) -> Samples:
        """The samples, and the real images that they are compared with."""
        layout = self._context.layout
        path, images = layout.samples(*self._names), self._kept_images
        if self.when == "curve":
            path, images = layout.snapshot_samples(*self._names, self.iteration), None
        reference = load_reference(layout.reference(self._run.task))
        found, protocol = load_features(path), self._sampled(reference)
        return Samples(found, reference, self.task.evaluation, protocol, images)

    def _kept_images(self) -> np.ndarray:
        return load_arrays(self._context.layout.samples(*self._names), "images")["images"]

    @cached_property
    def second(self) -> Samples | None:
        """The samples as the network of the second opinion sees them, if there is one."""
        layout, evaluation = self._context.layout, self.task.evaluation
        if evaluation.second_opinion is None:
            return None
        path = layout.samples(*self._names)
        reference = load_reference(layout.second_reference(self._run.task))
        arrays = load_arrays(path, "second", "logits")
        found = Features(arrays["second"], arrays["logits"])
        check_features(found, f"{path}, second opinion")
        described = _described(self.task, reference) | {"file": None}
        other = {"evaluator": evaluation.second_opinion.name, "reference": described}
        return Samples(found, reference, evaluation, self.samples.protocol | other)

    def _sampled(self, reference: Reference) -> dict[str, Any]:
        """Return all that makes two numbers of samples comparable."""
        task = self.task
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
            "precision": self.precision,
            "numerics": self.numerics,
            "kid": [task.evaluation.kid_subset_size, task.evaluation.kid_subsets],
            "neighbours": task.evaluation.neighbours,
            "splits": task.evaluation.splits,
        }

    @cached_property
    def held_out(self) -> DenoisingLosses | None:
        """The losses of held-out images; None if training or what it led to was not finite."""
        if has_diverged(self._context.layout.weights(*self._names)):
            return None
        losses = self._losses(self._data.held_out)
        finite = all(np.isfinite(values).all() for values in losses.arrays().values())
        return losses if finite else None

    @cached_property
    def seen(self) -> DenoisingLosses:
        """The losses of training images."""
        return self._losses(self._data.seen)

    def _losses(self, images: Images, backbone: Backbone | None = None) -> DenoisingLosses:
        backbone = self.model[0] if backbone is None else backbone
        return measure_denoising(self._context, self._run, backbone, images)

    def at(self, edge: int) -> DenoisingLosses | None:
        """The losses of held-out images at another resolution, of what can be brought there."""
        patch, size = self._run.patch, self.task.backbone
        if find_method(self._run.method).trains and (patch is None or patch.resize == "none"):
            return None
        assert isinstance(size, BackboneConfig)  # the metric has seen to it
        try:
            if patch is not None:
                patch.check_grid(edge // size.patch_size)
        except ValueError:
            return None  # 8 x 8 prompts are not spread over 12 x 12 tokens in blocks of one size
        backbone, _ = load_weights(self._context, self._run, edge=edge)
        return self._losses(resized_images(self._data.held_out, edge), backbone)

    @cached_property
    def gate(self) -> GateRecord | None:
        """The gate's weights, if it has any."""
        backbone, attached = self.model
        patch = attached.module
        if not isinstance(patch, Patch) or patch.gate is None:
            return None
        task = self.task
        return record_gate(
            backbone,
            patch,
            Diffusion.of(task),
            self._data.held_out,
            task.evaluation.gate_timesteps,
            self._context.device,
        )

    @cached_property
    def baseline_loss(self) -> float:
        """The held-out loss of the baseline that a run rests on; its first run measures it."""
        context, run, evaluation = self._context, self._run, self.task.evaluation
        sizes = [evaluation.timesteps_per_image, evaluation.held_out_images]
        fingerprint = content_hash([run.fingerprint("baseline"), sizes])
        path = context.layout.baseline_loss(*run.baseline)
        if path.is_file():
            found = from_file(_BaselineLoss, path)
            if found.fingerprint == fingerprint:
                return found.mse
        backbone = pretrained_backbone(context, run)
        losses = measure_denoising(context, run, backbone, self._data.held_out)
        mse = float(losses.mse.mean())
        write_json(path, {"fingerprint": fingerprint, "mse": mse})
        return mse


class _BaselineLoss(BaseModel, strict=True):
    """What is kept of a baseline for its runs."""

    fingerprint: str
    mse: float = Field(allow_inf_nan=False)


def _described(task: TaskConfig, reference: Reference) -> dict[str, Any]:
    return {
        "dataset": task.data.name,
        "split": task.evaluation.reference,
        "file": task.evaluation.reference_file,
        "images": reference.count,
        "features": len(reference.features.features),
        "sha256": reference.identity,
    }


def evaluate_run(context: Context, run: RunConfig, data: TaskData) -> None:
    """Write a run's metrics: of its last iteration, of its start, and of its curve.

    Of a run that has diverged there is no number that is finite, and so only that it has.
    """
    end = RunState(context, run, data, "end", run.iterations)
    if end.held_out is None:
        _write(context, run, _rows([find_metric("diverged")], end), {}, {})
        return
    metrics = measured(run.config)
    rows = _rows(metrics, end)
    if end.gate is not None:
        rows += _rows(metrics, RunState(context, run, data, "start", 0))
    for iteration in run.snapshots:
        rows += _rows(metrics, RunState(context, run, data, "curve", iteration))
    gate = {} if end.gate is None else end.gate.arrays()
    _write(context, run, rows, end.held_out.arrays(), gate)


def _rows(metrics: Iterable[Metric], state: RunState) -> list[Row]:
    rows = []
    for metric in metrics:
        if state.when in metric.measured_at:
            for value, count, where, of in metric.measure(state):
                name = f"{metric.name}/{of}" if of else metric.name
                protocol = metric.protocol(state)
                rows.append(Row(name, where, state.iteration, value, count, protocol))
    return rows


def _write(
    context: Context,
    run: RunConfig,
    rows: list[Row],
    losses: dict[str, np.ndarray],
    gate: dict[str, np.ndarray],
) -> None:
    layout, names = context.layout, (run.task, run.variant, run.seed)
    for path, arrays in ((layout.denoising(*names), losses), (layout.gate(*names), gate)):
        save_arrays(path, arrays)
    protocols = {content_hash(row.protocol): row.protocol for row in rows}
    lines = []
    for row in rows:
        if not np.isfinite(row.value):
            where = "/".join(map(str, names))
            raise DMPError(f"{row.metric} of {where} is not finite: {row.value}")
        # repr gives the shortest text that reads back as the same float.
        *head, value, samples, protocol = row
        measured_by = (content_hash(protocol), protocol["evaluator"])
        lines.append((*head, repr(float(value)), samples, *measured_by))
    # The numbers last, and none before that belong to an earlier configuration.
    layout.metrics(*names).unlink(missing_ok=True)
    write_config(layout.run(*names), run)
    write_json(layout.run(*names) / "protocols.json", protocols)
    write_csv(layout.metrics(*names), pd.DataFrame(lines, columns=COLUMNS))
    run_products(layout, run)["metrics"].mark_finished()
    write_finished(layout, run)


def write_finished(layout: Layout, run: RunConfig) -> None:
    """Write that all of a run is there."""
    path = layout.finished(run.task, run.variant, run.seed)
    write_text(path, run.fingerprint("metrics") + "\n")
