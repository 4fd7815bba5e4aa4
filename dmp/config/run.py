"""A task of the paper bound to data, backbone and sizes, and a run: one variant of it, one seed."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from dmp.config.backbone import BackboneConfig, UNetConfig
from dmp.config.base import Strict
from dmp.config.data import LatentsConfig, SourceConfig

Probability = Annotated[float, Field(ge=0, lt=1)]
# Of one image there is no covariance, and no pair.
Several = Annotated[int, Field(ge=2)]


class DataConfig(Strict):
    """Which images, and the share of them kept out of all training.

    Attributes:
        name: a dataset that is embedded, or the name of the one that ``source`` describes.
        held_out: share of images that no training sees.
        extractor: share of images that the feature extractor alone is trained on, where the
            workflow trains it: it must not know the images that it compares.
        source: where the images lie; None for an embedded dataset.
        test: a split that the dataset has for evaluation, such as val2014 of MS-COCO: samples are
            drawn for its captions, and may be compared with its images.
        latents: if given, the backbone works on these in place of pixels.

    """

    name: str
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    extractor: Probability = 0.0
    source: SourceConfig | None = None
    test: SourceConfig | None = None
    latents: LatentsConfig | None = None

    @property
    def test_name(self) -> str:
        """What the split for evaluation is called, as a dataset."""
        return f"{self.name}-test"

    @model_validator(mode="after")
    def _some_are_left_for_training(self) -> Self:
        if self.held_out + self.extractor >= 1:
            raise ValueError(
                f"held_out = {self.held_out} and extractor = {self.extractor} leave no images for "
                f"training; their sum must be below 1"
            )
        if self.extractor and self.source is not None:
            raise ValueError("extractor: only an embedded dataset trains one of its own")
        return self

    @model_validator(mode="after")
    def _latents_are_of_a_source(self) -> Self:
        if self.latents is None or self.source is None:
            if self.latents is not self.source:
                raise ValueError("source and latents: one needs the other")
            if self.test is not None:
                raise ValueError("test: only a dataset with a source has such a split")
            return self
        if self.source.resolution % self.latents.factor:
            raise ValueError(
                f"source.resolution = {self.source.resolution} is not a multiple of "
                f"latents.factor = {self.latents.factor}"
            )
        return self


class DiffusionConfig(Strict):
    """The forward process; see :mod:`dmp.diffusion.schedule`."""

    schedule: Literal["linear", "cosine", "scaled-linear"]
    timesteps: Annotated[int, Field(ge=2)] = 1000


class TextConfig(Strict):
    """The frozen text encoder, whose pooled embedding of a caption becomes the condition.

    A U-Net reads the states of all of the caption's tokens instead.

    ``built`` makes a small CLIP text encoder from these sizes, with weights drawn from a fixed
    seed and a tokenizer over the words of the dataset's own captions. ``clip`` is a pretrained one,
    ``name`` on the Hugging Face hub or a local folder.
    """

    encoder: Literal["built", "clip"] = "built"
    name: str | None = None
    hidden_size: PositiveInt = 64
    layers: PositiveInt = 2
    heads: PositiveInt = 4

    @model_validator(mode="after")
    def _pretrained_has_a_name(self) -> Self:
        if (self.encoder == "clip") != (self.name is not None):
            raise ValueError("name must be given with encoder = clip, and only then")
        return self


class OptimizerConfig(Strict):
    """Any training; batch sizes are global, over all processes."""

    iterations: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    log_every: PositiveInt = 20
    checkpoint_every: PositiveInt = 200

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

    """

    ema_decay: Probability | None = None
    loss: Literal["hybrid", "simple"] = "hybrid"
    curve: PositiveInt = 1

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
    path: str


class PretrainingConfig(OptimizerConfig):
    """Training of the baseline itself, and when it counts as converged.

    The last ``convergence_checkpoints`` checkpoints of the EMA weights, ``convergence_every``
    iterations apart, are sampled; see :mod:`dmp.statistics.convergence`. If weights are
    ``published``, they are taken and nothing is trained.

    Attributes:
        published: weights that others have trained.
        decay: the share of the iterations in which a second recipe, ``decayed``, lets the learning
            rate fall to 0: it branches off this training, and what it gains says how far the
            baseline is from convergence. Without it, runs on decayed baselines are left out.
        ema_decay: of the average that is the baseline.
        convergence_every, convergence_checkpoints, convergence_samples: see above.
        convergence_tolerance: the relative decrease of FID that is still called converged.

    """

    published: PublishedConfig | None = None

    decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    ema_decay: Probability = 0.9999
    convergence_every: PositiveInt
    convergence_checkpoints: Annotated[int, Field(ge=4)] = 6
    convergence_samples: Several
    convergence_tolerance: PositiveFloat = 0.05

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


class SamplingConfig(Strict):
    """Ancestral sampling; part of the evaluation protocol.

    ``clip`` keeps the predicted image within [-1, 1] at every step: right for pixels, wrong for
    latents, which have no such range. Without it, a cosine schedule and few steps blow up small
    errors of the first predictions, where almost no signal is left to divide by.
    """

    steps: Annotated[int, Field(ge=2)]
    samples: Several
    guidance_scale: PositiveFloat = 1.0
    guidance_channels: Literal["all", "first-three"] = "all"
    clip: bool


# Extractors with logits; torch-fidelity's others (CLIP, DINOv2, VGG) have features alone.
CLASSIFIERS = ("inception-v3-compat", "dataset-classifier", "random-network")


class ExtractorConfig(Strict):
    """The network whose features FID and its kin compare.

    ``inception-v3-compat`` and its kin are torch-fidelity's; ``dataset-classifier`` is a small
    classifier that the workflow trains, in ``epochs`` passes, on the dataset's own labels.
    ``weights`` is a file below the folder of all data; without it, torch-fidelity finds its own.
    """

    name: str
    epochs: PositiveInt = 20
    weights: str | None = None

    @property
    def has_logits(self) -> bool:
        """Whether it is known to tell classes apart, as the inception score needs it."""
        return self.name in CLASSIFIERS


class EvaluationConfig(Strict):
    """Metrics on samples, and the denoising loss on held-out and on training images.

    A run counts as diverged if its training was not finite, or if its held-out denoising loss is
    more than ``divergence_factor`` times that of the baseline that it rests on.

    Attributes:
        metrics: what runs are measured by beside :data:`dmp.metrics.registry.STANDARD`.
        extractor: for FID, KID, precision, recall and inception score.
        second_opinion: another network, whose Fréchet distance is given beside FID.
        reference: the real images that samples are compared with.
        reference_file: in place of these, a published .npz with ``mu``, ``sigma`` and ``arr_0``,
            below the folder of all data.
        reference_features: KID, precision and recall compare with so many real images at most.
        held_out_images: the denoising loss is taken on so many held-out images at most.

    """

    metrics: list[str] = []
    extractor: ExtractorConfig
    second_opinion: ExtractorConfig | None = None
    reference: Literal["train", "held-out", "all", "test"] = "train"
    reference_file: str | None = None
    reference_features: PositiveInt = 10_000
    held_out_images: PositiveInt = 2_000
    kid_subset_size: Several = 500
    kid_subsets: PositiveInt = 50
    neighbours: PositiveInt = 3
    splits: PositiveInt = 10
    timesteps_per_image: PositiveInt = 20
    bins: PositiveInt = 10
    gate_timesteps: Annotated[int, Field(ge=2)] = 50
    divergence_factor: Annotated[float, Field(gt=1)] = 1.5


def _kind(backbone: Any) -> str:
    kind = backbone.get("kind", "dit") if isinstance(backbone, dict) else backbone.kind
    return kind if isinstance(kind, str) else ""


AnyBackbone = Annotated[
    Annotated[BackboneConfig, Tag("dit")] | Annotated[UNetConfig, Tag("unet")],
    Discriminator(
        _kind,
        custom_error_type="kind_of_backbone",
        custom_error_message="unknown kind; accepted: dit, unet",
    ),
]


class TaskConfig(Strict):
    """One task of the paper at one scale."""

    stands_for: str
    label_dropout: Probability = 0.0
    conditioning: Literal["none", "class", "text"] = "none"
    text: TextConfig | None = None
    data: DataConfig
    backbone: AnyBackbone
    diffusion: DiffusionConfig
    pretraining: PretrainingConfig
    training: TrainingConfig
    sampling: SamplingConfig
    evaluation: EvaluationConfig

    @model_validator(mode="after")
    def _text_has_an_encoder(self) -> Self:
        if (self.conditioning == "text") != (self.text is not None):
            raise ValueError(
                f"text must be given with conditioning = text, and only then; conditioning is "
                f"{self.conditioning}"
            )
        if self.text is not None and (self.text.encoder == "clip") != (
            self.data.source is not None
        ):
            raise ValueError(
                "text.encoder = clip is for captions that lie on disk, built for those of an "
                "embedded dataset"
            )
        return self

    @model_validator(mode="after")
    def _extractor_has_images_of_its_own(self) -> Self:
        trained = self.evaluation.extractor.name == "dataset-classifier"
        if trained and not self.data.extractor:
            raise ValueError(
                "evaluation.extractor.name = dataset-classifier needs data.extractor, the share of "
                "images that it is trained on, such as 0.2"
            )
        return self

    @model_validator(mode="after")
    def _reference_exists(self) -> Self:
        if self.evaluation.reference == "test" and self.data.test is None:
            raise ValueError("evaluation.reference = test needs data.test")
        return self

    @model_validator(mode="after")
    def _unet_has_all_that_it_needs(self) -> Self:
        published = self.pretraining.published
        takes_unet = published is not None and published.format == "diffusers-unet"
        if self.backbone.kind != "unet":
            if takes_unet:
                raise ValueError(
                    "pretraining.published.format = diffusers-unet needs backbone.kind = unet; it "
                    "is dit"
                )
            return self
        for key, found, accepted in (
            ("pretraining.published.format", published and published.format, "diffusers-unet"),
            ("conditioning", self.conditioning, "text"),
            ("text.encoder", self.text and self.text.encoder, "clip"),
            ("text.hidden_size", self.text and self.text.hidden_size,
             self.backbone.cross_attention_dim),
            ("diffusion.schedule", self.diffusion.schedule, "scaled-linear"),
            ("training.loss", self.training.loss, "simple"),
        ):  # fmt: skip
            if found != accepted:
                raise ValueError(
                    f"{key} = {found} does not go with backbone.kind = unet; accepted: {accepted}"
                )
        if self.data.latents is None or self.data.source is None:
            raise ValueError("data.latents and data.source must be given with backbone.kind = unet")
        size = self.data.source.resolution // self.data.latents.factor
        stages = len(self.backbone.block_out_channels)
        if size % 2 ** (stages - 1):
            raise ValueError(
                f"backbone.block_out_channels has {stages} stages, which halve the {size}-point "
                f"latents {stages - 1} times; {size} is not a multiple of {2 ** (stages - 1)}"
            )
        return self

    @property
    def description(self) -> str:
        """One line for the tables: what was run in place of the paper's model."""
        kind = {
            "none": "unconditional", "class": "class-conditional", "text": "text-conditional",
        }[self.conditioning]  # fmt: skip
        return (
            f"{self.data.name}, {kind}: {self.backbone.description}; "
            f"{self.pretraining.iterations:,} iterations, then {self.training.iterations:,}"
        )

    @property
    def caution(self) -> str:
        """What a reader of a table with this task has to know of it; empty if nothing."""
        return self.backbone.caution
