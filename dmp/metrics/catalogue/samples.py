"""FID and its kin: how far samples are from real images, by an extractor's features.

What computes them imports torch, and so is imported when it is called.
"""

from collections.abc import Iterator
from typing import Any

from dmp.config import TaskConfig
from dmp.metrics.base import Metric, Number, SampleMetric, Samples, State, register


@register
class Fid(SampleMetric):
    """The Fréchet distance: FID, where Inception made the features."""

    name, label, better = "fid", "FID", "lower"
    measured_at = ("end", "curve")

    def compute(self, samples: Samples) -> float:
        from dmp.metrics.fidelity import frechet_distance

        return frechet_distance(samples.generated, samples.reference)


@register
class Floor(Metric):
    """The FID of held-out real images: what no model that draws as few samples falls below.

    It says nothing of a run; the runs of baselines carry it to where tables are made.
    """

    name, label, better = "fid_floor", "FID of held-out images", "lower"

    def measure(self, state: State) -> Iterator[Number]:
        floor = state.samples.reference.floor
        if state.is_baseline and floor is not None:
            yield Number(floor.fid, floor.images)

    def protocol(self, state: State) -> dict[str, Any]:
        samples = state.samples.protocol
        return {"kind": "real", **{key: samples[key] for key in ("evaluator", "reference")}}


@register
class SecondOpinion(Fid):
    """The Fréchet distance by another network, if the scale has one."""

    name, label = "second_fd", "Fréchet distance by the second opinion"
    measured_at = ("end",)

    def of(self, state: State) -> Samples | None:
        return state.second


@register
class Kid(SampleMetric):
    """The kernel distance, averaged over subsets."""

    name, label, better = "kid", "KID", "lower"

    def compute(self, samples: Samples) -> float:
        from dmp.metrics.fidelity import kid

        return kid(samples)


@register
class Precision(SampleMetric):
    """The share of samples that lie among real images."""

    name, label, better = "precision", "Precision", "higher"

    def compute(self, samples: Samples) -> float:
        from dmp.metrics.fidelity import precision_recall

        return samples.once(precision_recall)[self.name]


@register
class Recall(Precision):
    """The share of real images that lie among samples."""

    name, label = "recall", "Recall"


@register
class InceptionScore(SampleMetric):
    """How certain and how varied the classes of samples are."""

    name, label, better = "inception_score", "Inception score", "higher"

    def unmeasured(self, task: TaskConfig) -> str:
        extractor = task.evaluation.extractor
        return "" if extractor.has_logits else f"the extractor {extractor.name} has no logits"

    def compute(self, samples: Samples) -> float | None:
        from dmp.metrics.fidelity import inception_score

        return inception_score(samples)
