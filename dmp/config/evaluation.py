"""The evaluation protocol: how samples are drawn, and what they are measured by."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dmp.config.base import Strict
from dmp.config.numbers import Count, Factor, Several
from dmp.config.texts import Place, each_once


class SamplingConfig(Strict):
    """Ancestral sampling; part of the evaluation protocol.

    ``clip`` keeps the predicted image within [-1, 1] at every step: right for pixels, wrong for
    latents, which have no such range. Without it, a cosine schedule and few steps blow up small
    errors of the first predictions, where almost no signal is left to divide by.
    """

    steps: Annotated[int, Field(ge=2, le=10**6)]
    samples: Several
    guidance_scale: Factor = 1.0
    guidance_channels: Literal["all", "first-three"] = "all"
    clip: bool


# Extractors with logits; torch-fidelity's others (CLIP, DINOv2, VGG) have features alone.
DATASET_CLASSIFIER = "dataset-classifier"
CLASSIFIERS = ("inception-v3-compat", DATASET_CLASSIFIER, "random-network")
# All of them, known without torch.
EXTRACTORS = (
    *CLASSIFIERS,
    *("vgg16", "clip-rn50", "clip-rn101", "clip-rn50x4", "clip-rn50x16", "clip-rn50x64"),
    *("clip-vit-b-32", "clip-vit-b-16", "clip-vit-l-14", "clip-vit-l-14-336px"),
    *("dinov2-vit-s-14", "dinov2-vit-b-14", "dinov2-vit-l-14", "dinov2-vit-g-14"),
)


class ExtractorConfig(Strict):
    """The network whose features FID and its kin compare.

    ``inception-v3-compat`` and its kin are torch-fidelity's; ``dataset-classifier`` is a small
    classifier that the workflow trains, in ``epochs`` passes, on the dataset's own labels.
    ``weights`` is a file below the folder of all data; without it, torch-fidelity finds its own.
    """

    name: str
    epochs: Count = 20
    weights: Place | None = None

    @property
    def trained_here(self) -> bool:
        """Whether the workflow trains it, and so has its file."""
        return self.name == DATASET_CLASSIFIER

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

    metrics: Annotated[list[str], AfterValidator(each_once)] = []
    extractor: ExtractorConfig
    second_opinion: ExtractorConfig | None = None
    reference: Literal["train", "held-out", "all", "test"] = "train"
    reference_file: Place | None = None
    reference_features: Count = 10_000
    held_out_images: Count = 2_000
    kid_subset_size: Several = 500
    kid_subsets: Count = 50
    neighbours: Count = 3
    splits: Count = 10
    timesteps_per_image: Count = 20
    bins: Count = 10
    gate_timesteps: Annotated[int, Field(ge=2, le=10**6)] = 50
    divergence_factor: Annotated[float, Field(gt=1, le=1e6)] = 1.5
