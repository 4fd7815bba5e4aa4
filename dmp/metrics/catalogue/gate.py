"""How a gate uses its prompts, before and after training."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dmp.metrics.base import HELD_OUT, Metric, Number, State, over_timesteps, register

if TYPE_CHECKING:
    from dmp.metrics.gate import GateRecord


@register
class GateEntropy(Metric):
    """The entropy of the weights over the prompts, averaged over blocks."""

    name, label, unit = "gate_entropy", "Gate entropy", "nats"
    measured_at = ("end", "start")
    of_gate = True

    def measure(self, state: State) -> Iterator[Number]:
        if state.gate is not None:
            yield from over_timesteps(state.gate.entropy, state.gate.timesteps, state.task)

    def protocol(self, state: State) -> dict[str, Any]:
        count = 0 if state.gate is None else len(state.gate.timesteps)
        return {"kind": "gate", "evaluator": HELD_OUT, "timesteps": count,
                "numerics": state.numerics}  # fmt: skip


@register
class PromptsUsed(GateEntropy):
    """The share of the prompts that the gate uses, ``exp(H) / K``, averaged over blocks.

    The exponential of the entropy H is how many prompts with equal weights would have it: 1 if the
    gate uses all K alike, 1/K if it uses one.
    """

    name, label, unit = "prompts_used", "Prompts in use", "of all"

    def measure(self, state: State) -> Iterator[Number]:
        if state.gate is not None:
            yield from over_timesteps(state.gate.used, state.gate.timesteps, state.task)


class OfLevels(GateEntropy):
    """The mean over the blocks with K prompts, for each K; only where blocks differ in K.

    The entropies of blocks with unlike K have unlike maxima, and at K = 4096 a weight is so small
    that the ε of the importance loss leaves 0.6 % of it.
    """

    unit = ""

    @abstractmethod
    def of_blocks(self, gate: "GateRecord") -> list[float]:
        """Return the value of each block."""

    def measure(self, state: State) -> Iterator[Number]:
        gate = state.gate
        if gate is None or gate.uniform:
            return
        for prompts, value in gate.by_prompts(self.of_blocks(gate)).items():
            yield Number(value, len(gate.timesteps), of=str(prompts))


@register
class GateWeight(OfLevels):
    """The mean weight of a prompt."""

    name, label = "gate_weight", "Gate weight"

    def of_blocks(self, gate: "GateRecord") -> list[float]:
        return [float(weights.mean(dtype="float64")) for weights in gate.weights]


@register
class GateEvenness(OfLevels):
    """The entropy over its largest value, ln K."""

    name, label = "gate_evenness", "Normalised gate entropy"

    def of_blocks(self, gate: "GateRecord") -> list[float]:
        return [float(evenness.mean()) for evenness in gate.evenness.T]
