"""A task of the paper bound to data, backbone and sizes, and a run: one variant of it, one seed."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from dmp.config.backbone import BackboneConfig, UNetConfig
from dmp.config.base import Strict
from dmp.config.data import LatentsConfig, SourceConfig
from dmp.config.evaluation import EvaluationConfig, SamplingConfig
from dmp.config.numbers import Few, Probability, Share, Size
from dmp.config.texts import Line, Name, Place
from dmp.config.training import PretrainingConfig, TrainingConfig


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

    name: Name
    held_out: Share = 0.2
    extractor: Probability = 0.0
    source: SourceConfig | None = None
    test: SourceConfig | None = None
    latents: LatentsConfig | None = None

    @property
    def test_name(self) -> str:
        """What the split for evaluation is called, as a dataset."""
        return f"{self.name}-test"

    @property
    def on_disk(self) -> dict[str, SourceConfig]:
        """The datasets among these that lie on disk, by name; a split for evaluation is its own."""
        every = {self.name: self.source, self.test_name: self.test}
        return {name: source for name, source in every.items() if source is not None}

    def parts(self, images: int) -> dict[str, int]:
        """Return how many of so many images serve for what; ``all`` is without the extractor's."""
        held_out, own = round(images * self.held_out), round(images * self.extractor)
        train = images - held_out - own
        return {"train": train, "held-out": held_out, "extractor": own, "all": images - own}

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
    timesteps: Annotated[int, Field(ge=2, le=10**6)] = 1000


class TextConfig(Strict):
    """The frozen text encoder, whose pooled embedding of a caption becomes the condition.

    A U-Net reads the states of all of the caption's tokens instead.

    ``built`` makes a small CLIP text encoder from these sizes, with weights drawn from a fixed
    seed and a tokenizer over the words of the dataset's own captions. ``clip`` is a pretrained one,
    ``name`` on the Hugging Face hub or a local folder.
    """

    encoder: Literal["built", "clip"] = "built"
    name: Place | None = None
    hidden_size: Size = 64
    layers: Few = 2
    heads: Few = 4

    @model_validator(mode="after")
    def _pretrained_has_a_name(self) -> Self:
        if (self.encoder == "clip") != (self.name is not None):
            raise ValueError("name must be given with encoder = clip, and only then")
        return self


def _kind(backbone: Any) -> str:
    if isinstance(backbone, dict):
        kind = backbone.get("kind", "dit")
    else:
        kind = getattr(backbone, "kind", None)
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

    stands_for: Line
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
        if self.evaluation.extractor.trained_here and not self.data.extractor:
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
