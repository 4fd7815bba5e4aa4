"""The denoising losses on held-out and training images, and whether a run diverged."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dmp.config import BackboneConfig, TaskConfig
from dmp.data.shape import input_shape
from dmp.metrics.base import (
    HELD_OUT,
    TRAINING,
    Metric,
    Number,
    Quantity,
    State,
    over_timesteps,
    register,
)

if TYPE_CHECKING:
    import numpy as np

    from dmp.metrics.denoising import DenoisingLosses


@register
class DenoisingMse(Metric):
    """The squared error of the predicted noise, on triples that are the same for every model."""

    name, label, better = "denoising_mse", "Denoising MSE", "lower"
    measured_at = ("end", "curve")
    images = HELD_OUT

    def _losses(self, state: State) -> "DenoisingLosses | None":
        return state.held_out if self.images == HELD_OUT else state.seen

    def values(self, losses: "DenoisingLosses", timesteps: int) -> "np.ndarray | None":
        """Return the value of each triple; None where there is none."""
        return losses.mse

    def measure(self, state: State) -> Iterator[Number]:
        losses = self._losses(state)
        if losses is not None:
            values = self.values(losses, state.task.diffusion.timesteps)
            if values is not None:
                yield from over_timesteps(values, losses.timesteps, state.task)

    def protocol(self, state: State) -> dict[str, Any]:
        task, losses = state.task, self._losses(state)
        each = task.evaluation.timesteps_per_image
        return {
            "kind": "denoising",
            "evaluator": self.images,
            "dataset": task.data.name,
            "images": 0 if losses is None else len(losses.mse) // each,
            "held_out": task.data.held_out,
            "conditioning": task.conditioning,
            "timesteps_per_image": each,
            "schedule": task.diffusion.schedule,
            "precision": state.precision,
            "numerics": state.numerics,
        }


@register
class DenoisingVb(DenoisingMse):
    """The variational bound: T times the mean of its terms, since it is their sum."""

    name, label, unit = "denoising_vb", "Denoising VB", "bits per dimension"

    def unmeasured(self, task: TaskConfig) -> str:
        return "" if task.backbone.learns_variance else "the backbone predicts no variance"

    def values(self, losses: "DenoisingLosses", timesteps: int) -> "np.ndarray | None":
        return None if losses.vb is None else losses.vb * timesteps


@register
class TrainingMse(DenoisingMse):
    """As the denoising MSE, of images that the models have trained on."""

    name, label = "train_denoising_mse", "Training MSE"
    images, measured_at = TRAINING, ("end",)


@register
class TrainingVb(DenoisingVb):
    """As the denoising VB, of images that the models have trained on."""

    name, label = "train_denoising_vb", "Training VB"
    images, measured_at = TRAINING, ("end",)


@register
class ResizedMse(DenoisingMse):
    """The denoising MSE at three and five quarters of the resolution that a backbone was made for.

    Of baselines, and of patches that may be resized (``resize``): is an interpolated patch worth
    anything? What it would be worth is told by one that was trained there (``resolution``).
    """

    name, label = "resized_denoising_mse", "Denoising MSE, edge"
    measured_at = ("end",)

    def unmeasured(self, task: TaskConfig) -> str:
        if task.data.source is not None or not isinstance(task.backbone, BackboneConfig):
            return "for a DiT on an embedded dataset"
        edges, patch = self.edges(task), task.backbone.patch_size
        return f"{edges} is not a multiple of the patch" if any(e % patch for e in edges) else ""

    @staticmethod
    def edges(task: TaskConfig) -> list[int]:
        """Return the other resolutions."""
        size = input_shape(task.data).size
        return [size * 3 // 4, size * 5 // 4]

    def measure(self, state: State) -> Iterator[Number]:
        for edge in () if self.unmeasured(state.task) else self.edges(state.task):
            losses = state.at(edge)
            if losses is not None:
                yield Number(float(losses.mse.mean()), len(losses.mse), of=str(edge))

    def protocol(self, state: State) -> dict[str, Any]:
        return super().protocol(state) | {"edges": self.edges(state.task)}


@register
class DenoisingGap(Quantity):
    """How much less the denoising loss of training images is, within a run."""

    name, label, better = "denoising_gap", "Held-out − training MSE", "lower"


@register
class Seconds(Quantity):
    """A timing of training or sampling."""

    name, label, better, unit = "seconds", "Seconds", "lower", "s"


@register
class Diverged(Metric):
    """1 if the loss is not finite, or too much above the baseline's; else 0."""

    name, label, better = "diverged", "Diverged", "lower"

    def measure(self, state: State) -> Iterator[Number]:
        losses, factor = state.held_out, state.task.evaluation.divergence_factor
        lost = losses is None or losses.mse.mean() > state.baseline_loss * factor
        yield Number(float(lost), 1)

    def protocol(self, state: State) -> dict[str, Any]:
        factor = state.task.evaluation.divergence_factor
        return {"kind": "divergence", "evaluator": HELD_OUT, "factor": factor,
                "numerics": state.numerics}  # fmt: skip
