"""The denoising losses on held-out and training images, and whether a run diverged."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dmp.config import TaskConfig
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
    from dmp.metrics.denoising import DenoisingLosses


class DenoisingMetric(Metric):
    """A loss on (image, timestep, noise) triples that are the same for every model."""

    better = "lower"
    measured_at = ("end", "curve")
    images = HELD_OUT

    def losses(self, state: State) -> "DenoisingLosses | None":
        """Return the losses of these images."""
        return state.held_out if self.images == HELD_OUT else state.seen

    def values(self, losses: "DenoisingLosses", timesteps: int) -> np.ndarray | None:
        """Return the value of each triple; None where there is none."""
        return losses.mse

    def measure(self, state: State) -> Iterator[Number]:
        """Yield the mean over all timesteps, and over each range of them."""
        losses = self.losses(state)
        if losses is not None:
            values = self.values(losses, state.run.config.diffusion.timesteps)
            if values is not None:
                yield from over_timesteps(values, losses.timesteps, state.run)

    def protocol(self, state: State) -> dict[str, Any]:
        """Return which triples there were, and how the model computed."""
        task, losses = state.run.config, self.losses(state)
        count, each = 0 if losses is None else len(losses.mse), task.evaluation.timesteps_per_image
        return {
            "kind": "denoising",
            "evaluator": self.images,
            "dataset": task.data.name,
            "images": count // each,
            "held_out": task.data.held_out,
            "conditioning": task.conditioning,
            "timesteps_per_image": each,
            "schedule": task.diffusion.schedule,
            "precision": state.run.precision,
            "numerics": state.numerics,
        }


@register
class DenoisingMse(DenoisingMetric):
    """The squared error of the predicted noise."""

    name, label = "denoising_mse", "Denoising MSE"


@register
class DenoisingVb(DenoisingMetric):
    """The variational bound."""

    name, label, unit = "denoising_vb", "Denoising VB", "bits per dimension"

    def unmeasured(self, task: TaskConfig) -> str:
        """Return that it needs a variance."""
        return "" if task.backbone.learns_variance else "the backbone predicts no variance"

    def values(self, losses: "DenoisingLosses", timesteps: int) -> np.ndarray | None:
        """Return T times each triple's term: the bound is a sum over all T timesteps."""
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
class DenoisingGap(Quantity):
    """How much less the denoising loss of training images is, within a run."""

    name, label, better = "denoising_gap", "Held-out − training MSE", "lower"


@register
class Seconds(Quantity):
    """A timing of training or sampling."""

    name, label, better, unit = "seconds", "Seconds", "lower", "s"


@register
class Diverged(Metric):
    """Whether the loss is not finite, or too much above the baseline's."""

    name, label, better = "diverged", "Diverged", "lower"

    def measure(self, state: State) -> Iterator[Number]:
        """Yield 1 if it diverged, else 0."""
        losses, factor = state.held_out, state.run.config.evaluation.divergence_factor
        lost = losses is None or losses.mse.mean() > state.baseline_loss * factor
        yield Number(float(lost), 1)

    def protocol(self, state: State) -> dict[str, Any]:
        """Return how far above is too far."""
        return {
            "kind": "divergence",
            "evaluator": HELD_OUT,
            "factor": state.run.config.evaluation.divergence_factor,
            "numerics": state.numerics,
        }
