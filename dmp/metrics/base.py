"""What a metric is, and what it is computed from; no torch, and no NumPy.

A metric is one class, in one file, decorated with :func:`register`: what tables, figures and
studies say of it is read there. Its file lies in ``dmp/metrics/catalogue``, or in another package
that names it as an entry point of the group ``dmp.metrics``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

from dmp.bins import bin_label, timestep_bin
from dmp.config import EvaluationConfig, TaskConfig
from dmp.registry import add

if TYPE_CHECKING:  # a plan is read before the environment is settled in which these compute
    import numpy as np

    from dmp.metrics.denoising import DenoisingLosses
    from dmp.metrics.features import Features
    from dmp.metrics.gate import GateRecord
    from dmp.metrics.reference import Reference

HELD_OUT, TRAINING = "held-out images", "training images"
# When a metric is measured: after the last iteration, after those of the curve, before the first.
When = Literal["end", "curve", "start"]
_ARROWS = {"lower": " ↓", "higher": " ↑", "": ""}
Result = TypeVar("Result")


class Number(NamedTuple):
    """One number of a metric.

    Attributes:
        count: of how many samples, losses or timesteps it is made.
        where: ``all``, or a range of timesteps such as ``0-99``.
        of: what it is of, where a metric has several: ``16`` in ``gate_weight/16``.
    """

    value: float
    count: int
    where: str = "all"
    of: str = ""


@dataclass(eq=False)
class Samples:
    """Samples of a run, as an extractor sees them, and the real images they are compared with.

    Attributes:
        generated: their features and logits.
        config: sizes and numbers of subsets.
        protocol: all that makes two numbers of samples comparable.
        images: returns the images that were kept, uint8 ``(n, C, H, W)``; those of a curve are not.
    """

    generated: "Features"
    reference: "Reference"
    config: EvaluationConfig
    protocol: dict[str, Any] = field(default_factory=dict)
    images: "Callable[[], np.ndarray] | None" = None
    _shared: dict[Callable, Any] = field(default_factory=dict)

    def once(self, compute: "Callable[[Samples], Result]") -> Result:
        """Return ``compute(self)``, computed once for all metrics that share it."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        return self._shared[compute]


class State(Protocol):
    """A run after some iteration; what costs anything is computed when it is first asked for.

    Attributes:
        task: how its task is configured.
        precision, numerics: what it is computed in.
        is_baseline: whether it is a baseline of the paper's recipe, and nothing else.
        second: as ``samples``, by the network of the second opinion; None without one.
        held_out: denoising losses of images that no model has trained on; None if not finite.
        seen: as ``held_out``, of training images.
        gate: the gate's weights; None without a gate that has any.
        baseline_loss: the mean squared error of the baseline on held-out images.
        at: returns ``held_out`` of images at another resolution; None of what trains something
            that cannot be brought there.
    """

    task: TaskConfig
    precision: str
    numerics: str
    is_baseline: bool
    samples: Samples
    second: Samples | None
    held_out: "DenoisingLosses | None"
    seen: "DenoisingLosses"
    gate: "GateRecord | None"
    baseline_loss: float

    def at(self, edge: int) -> "DenoisingLosses | None":
        """Return the losses at another resolution."""
        ...


class Quantity:
    """What tables and figures say of a number.

    Attributes:
        name: in files.
        label: in tables.
        better: which direction is; empty if neither.
        unit: empty for a pure number.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    better: ClassVar[Literal["lower", "higher", ""]] = ""
    unit: ClassVar[str] = ""

    @property
    def heading(self) -> str:
        """The label, and an arrow that says which direction is better: ``FID ↓``."""
        return self.label + _ARROWS[self.better]


class Metric(Quantity, ABC):
    """A quantity that is measured of a run; see :data:`When`."""

    measured_at: ClassVar[tuple[When, ...]] = ("end",)
    # Whether it is of a gate, so that variants without one do not have it.
    of_gate: ClassVar[bool] = False

    def unmeasured(self, task: TaskConfig) -> str:
        """Return why runs of a task cannot have it; empty if they can."""
        return ""

    @abstractmethod
    def measure(self, state: State) -> Iterable[Number]:
        """Yield the numbers; none where a run has none."""

    @abstractmethod
    def protocol(self, state: State) -> dict[str, Any]:
        """Return how it is measured: numbers of different protocols are never compared."""


class SampleMetric(Metric):
    """A metric of samples."""

    def of(self, state: State) -> Samples | None:
        """Return the samples that it is measured on."""
        return state.samples

    @abstractmethod
    def compute(self, samples: Samples) -> float | None:
        """Return its value; None where the samples have none."""

    def measure(self, state: State) -> Iterator[Number]:
        """Yield the one number."""
        samples = self.of(state)
        value = None if samples is None else self.compute(samples)
        if samples is not None and value is not None:
            yield Number(value, len(samples.generated.features))

    def protocol(self, state: State) -> dict[str, Any]:
        """Return that of the samples."""
        samples = self.of(state)
        return {} if samples is None else samples.protocol


def over_timesteps(
    values: "np.ndarray", timesteps: "np.ndarray", task: TaskConfig
) -> Iterator[Number]:
    """Yield the mean of ``values`` ``(n,)``, and that of each range of ``timesteps`` ``(n,)``."""
    total, bins = task.diffusion.timesteps, task.evaluation.bins
    yield Number(float(values.mean()), len(values))
    where = timestep_bin(timesteps, bins, total)
    for index in range(bins):
        inside = values[where == index]
        if len(inside):
            yield Number(float(inside.mean()), len(inside), bin_label(index, bins, total))


REGISTERED: dict[str, Quantity] = {}
Kind = TypeVar("Kind", bound=type[Quantity])


def register(kind: Kind) -> Kind:
    """Make a class known by its name; a decorator."""
    add(REGISTERED, kind.name, kind(), "metric")
    return kind
