"""Any training: that of a baseline, and what follows it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dmp.config.base import Strict
from dmp.config.numbers import Count, LearningRate, Probability, Several, Share, Size, Weight
from dmp.config.texts import Place


class OptimizerConfig(Strict):
    """Any training; batch sizes are global, over all processes."""

    iterations: Count
    batch_size: Count
    learning_rate: LearningRate
    weight_decay: Weight = 0.0
    log_every: Count = 20
    checkpoint_every: Count = 200

    @model_validator(mode="after")
    def _checkpoints_fall_on_log_records(self) -> Self:
        # So that a resumed run logs the same averages as one that ran through.
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                f"checkpoint_every = {self.checkpoint_every} must be a multiple of "
                f"log_every = {self.log_every}"
            )
        return self


class TrainingConfig(OptimizerConfig):
    """Further training of a converged baseline.

    Attributes:
        ema_decay: if given, what trains is averaged, and the average is evaluated. The paper does
            not average in further training.
        loss: ``hybrid`` trains noise and variance, as the backbone was trained; ``simple`` is the
            squared error of the noise alone, the paper's Eq. 8.
        curve: at how many iterations, equally spaced and the last among them, FID is measured.
        resolution: edge of the images that are trained on, in place of the dataset's; positions of
            the backbone are stretched. Part of the configuration's hash only where it is given.
    """

    ema_decay: Probability | None = None
    loss: Literal["hybrid", "simple"] = "hybrid"
    curve: Count = 1
    resolution: Annotated[Size | None, Field(exclude_if=lambda value: value is None)] = None

    @model_validator(mode="after")
    def _curve_fits(self) -> Self:
        if self.iterations % self.curve:
            raise ValueError(f"curve = {self.curve} does not divide iterations = {self.iterations}")
        return self

    @property
    def snapshots(self) -> list[int]:
        """The iterations of the curve before the last one."""
        step = self.iterations // self.curve
        return [step * point for point in range(1, self.curve)]


class PublishedConfig(Strict):
    """Weights that others have trained.

    Attributes:
        format: ``public``: a .pt file in the layout of the public DiT checkpoints; ``diffusers``: a
            folder as diffusers saves a DiT or its pipeline; ``diffusers-unet``: likewise of a
            U-Net, or a name on the Hugging Face hub.
        path: below the folder of all data, or the name.
    """

    format: Literal["public", "diffusers", "diffusers-unet"]
    path: Place


class BeginConfig(Strict):
    """How a baseline's training begins where images of full size are expensive.

    Attributes:
        resolution: edge of the images; positions of the backbone are stretched.
        iterations, batch_size: of this part. Its averaged weights are what the other starts from,
            with an optimiser and an average of its own.
        learning_rate: of this part; None for that of the other.
    """

    resolution: Size
    iterations: Count
    batch_size: Count
    learning_rate: LearningRate | None = None


class PretrainingConfig(OptimizerConfig):
    """Training of the baseline itself, and when it counts as converged.

    The last ``convergence_checkpoints`` checkpoints of the EMA weights, ``convergence_every``
    iterations apart, are sampled; see :mod:`dmp.statistics.convergence`. If weights are
    ``published``, they are taken and nothing is trained.

    Attributes:
        published: weights that others have trained.
        begin: training at a smaller resolution that comes first. Part of the configuration's hash
            only where it is given.
        decay: the share of the iterations in which a second recipe, ``decayed``, lets the learning
            rate fall to 0: it branches off this training, and what it gains says how far the
            baseline is from convergence. Without it, runs on decayed baselines are left out.
        ema_decay: of the average that is the baseline.
        convergence_every, convergence_checkpoints, convergence_samples: see above.
        convergence_tolerance: the relative decrease of FID that is still called converged.
    """

    published: PublishedConfig | None = None
    begin: Annotated[BeginConfig | None, Field(exclude_if=lambda value: value is None)] = None
    decay: Share | None = None
    ema_decay: Probability = 0.9999
    convergence_every: Count
    convergence_checkpoints: Annotated[int, Field(ge=4, le=1000)] = 6
    convergence_samples: Several
    convergence_tolerance: Annotated[float, Field(ge=1e-6, le=1)] = 0.05

    @model_validator(mode="after")
    def _decay_branches_off(self) -> Self:
        if self.decay is None:
            return self
        if self.published is not None:
            raise ValueError("decay: published weights have no training to branch off")
        if not 0 < self.branch < self.iterations:
            raise ValueError(
                f"decay = {self.decay} of {self.iterations} iterations leaves none before or after "
                f"the branch"
            )
        return self

    @property
    def branch(self) -> int:
        """The iteration after which the decayed recipe branches off; 0 without one."""
        return 0 if self.decay is None else self.iterations - round(self.decay * self.iterations)
