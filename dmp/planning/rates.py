"""From arithmetic to seconds: by what was measured, else by a share of the GPU's peak."""

import functools
from dataclasses import dataclass

import torch

from dmp.methods import find_method
from dmp.planning.counting import Counts, count_model
from dmp.planning.throughput import Gpu, Measurement, Throughput, Work

FLOPS_PER_MAC = 2
HOUR = 3600


@dataclass(frozen=True)
class Time:
    """GPU seconds, and how many of them rest on a measurement; times add up."""

    seconds: float = 0.0
    measured: float = 0.0

    def __add__(self, other: "Time") -> "Time":
        return Time(self.seconds + other.seconds, self.measured + other.measured)

    def __mul__(self, factor: float) -> "Time":
        return Time(self.seconds * factor, self.measured * factor)

    def __str__(self) -> str:
        return number(self.hours)

    @property
    def hours(self) -> float:
        """GPU hours."""
        return self.seconds / HOUR

    @property
    def origin(self) -> str:
        """How much of it rests on measurements."""
        if not self.seconds:
            return "-"
        share = self.measured / self.seconds
        if share > 0.995:
            return "measured"
        return "computed" if share < 0.005 else f"{share:.0%} measured"


def number(value: float) -> str:
    """Return a number with two or three significant digits, and no exponent."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


@dataclass(frozen=True)
class Rates:
    """How fast one kind of GPU is.

    Attributes:
        utilisation: the share of a peak that is assumed where nothing was measured.
        measured: throughput files of this kind of GPU and this precision.
    """

    gpu: Gpu
    utilisation: float
    precision: str
    measured: list[Throughput]

    def training(self, counts: Counts, images: int) -> Time:
        """Return the time of training on ``images`` examples, counted with repetitions."""
        work = "patch_training" if counts.frozen else "full_training"
        return self._backbone(work, counts, counts.training * images)

    def sampling(self, counts: Counts, evaluations: int) -> Time:
        """Return the time of forward passes, each of one image."""
        work = "patched_sampling" if counts.frozen else "sampling"
        return self._backbone(work, counts, counts.forward * evaluations)

    def convolutions(self, macs: float) -> Time:
        """Return the time of autoencoder or Inception, whose convolutions run in TF32 or fp32."""
        return self._computed(macs, self.gpu.tf32 or self.gpu.fp32)

    def single(self, macs: float) -> Time:
        """Return the time of losses or of a text encoder, in fp32."""
        return self._computed(macs, self.gpu.fp32)

    def _backbone(self, work: Work, counts: Counts, macs: float) -> Time:
        for file in self.measured:
            for measured in file.models:
                rate = _macs_per_second(measured, work) if measured.matches(counts.sizes) else None
                if rate is not None:
                    return Time(macs / rate, macs / rate)
        return self._computed(macs, self.gpu.peak(self.precision))

    def _computed(self, macs: float, peak: float) -> Time:
        return Time(FLOPS_PER_MAC * macs / (peak * 1e12 * self.utilisation))


@functools.cache
def _macs_per_second(measured: Measurement, work: Work) -> float | None:
    """Return what a measured rate is in MACs per second, by which it serves all variants."""
    rate: float | None = getattr(measured, work)
    if rate is None:
        return None
    with torch.device("meta"):
        backbone = measured.dit()
    method = find_method("dmp" if work.startswith("patch") else "fine-tuning")
    counts = count_model(
        backbone, lambda: method.attach(backbone, method.options(), 0), measured.batch_size
    )
    return rate * (counts.training if work.endswith("training") else counts.forward)
