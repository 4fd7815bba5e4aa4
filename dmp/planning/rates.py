"""From arithmetic to seconds: by what was measured, else by a share of the GPU's peak."""

from dataclasses import dataclass

from dmp.config import PatchConfig
from dmp.planning import flops
from dmp.planning.flops import AnyGeometry
from dmp.planning.throughput import Gpu, Throughput, Work

FLOPS_PER_MAC = 2


@dataclass(frozen=True)
class Time:
    """GPU seconds, and how many of them rest on a measurement; times add up."""

    seconds: float = 0.0
    measured: float = 0.0

    def __add__(self, other: "Time") -> "Time":
        return Time(self.seconds + other.seconds, self.measured + other.measured)

    def __mul__(self, factor: float) -> "Time":
        return Time(self.seconds * factor, self.measured * factor)


@dataclass(frozen=True)
class Rates:
    """How fast one kind of GPU is.

    Attributes:
        gpu: its peaks.
        utilisation: the share of a peak that is assumed where nothing was measured.
        precision: of the backbone.
        measured: throughput files of this kind of GPU and this precision.

    """

    gpu: Gpu
    utilisation: float
    precision: str
    measured: list[Throughput]

    def training(self, g: AnyGeometry, patch: PatchConfig | None, images: int) -> Time:
        """Return the time of training on ``images`` examples, counted with repetitions."""
        work = "full_training" if patch is None else "patch_training"
        return self._backbone(work, g, flops.train(g, patch) * images)

    def sampling(self, g: AnyGeometry, patch: PatchConfig | None, evaluations: int) -> Time:
        """Return the time of forward passes, each of one image."""
        work = "sampling" if patch is None else "patched_sampling"
        return self._backbone(work, g, flops.forward(g, patch) * evaluations)

    def evaluation(self, g: AnyGeometry, patch: PatchConfig | None, evaluations: int) -> Time:
        """Return the time of forward passes for losses, which are computed in fp32."""
        return self._computed(flops.forward(g, patch) * evaluations, self.gpu.fp32)

    def convolutions(self, macs: float) -> Time:
        """Return the time of autoencoder or Inception, whose convolutions run in TF32 or fp32."""
        return self._computed(macs, self.gpu.tf32 or self.gpu.fp32)

    def text(self, macs: float) -> Time:
        """Return the time of a text encoder, in fp32."""
        return self._computed(macs, self.gpu.fp32)

    def _backbone(self, work: Work, g: AnyGeometry, macs: float) -> Time:
        for file in self.measured:
            for model in file.models:
                rate = model.macs_per_second(work) if model.matches(g) else None
                if rate is not None:
                    return Time(macs / rate, macs / rate)
        peak = self.gpu.bf16 if self.precision == "bf16" else self.gpu.fp32
        assert peak is not None  # find_gpu has seen to it
        return self._computed(macs, peak)

    def _computed(self, macs: float, peak: float) -> Time:
        return Time(FLOPS_PER_MAC * macs / (peak * 1e12 * self.utilisation))
