"""The gate uses more than a share of the prompts, or less, at every timestep."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import pydantic

from dmp.claims.evidence import Evidence, Run, VariantName, register_evidence, size
from dmp.claims.measurement import Effect, Measurement, of_effect

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("prompts-used")
class PromptsUsed(Evidence):
    """The effective number of prompts, exp(entropy) of the gate, is above or below a bound.

    Attributes:
        predicts: which of them, in every range of timesteps.
        bound_percent: of the N prompts.
    """

    own_metric: ClassVar[str] = "prompts_used"
    task: str
    variant: VariantName
    predicts: Literal["above", "below"]
    bound_percent: Annotated[float, pydantic.Field(gt=0, lt=100)]

    def runs(self) -> list[Run]:
        return [(self.task, self.variant)]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test every range by itself: all must pass for the claim, any one refutes it.

        The effect that is told is that of the range that is nearest to the other side.
        """
        from dmp.statistics.contrast import align

        arm, sign = numbers.arm(self.task, self.variant, "timestep"), self._sign
        effects = {}
        for middle in arm.values:
            effects[middle] = Effect(align([arm.at(middle)]).contrast([1]), "N prompts")
        p_for = [effect.p_beyond(sign * self.bound_percent, sign) for effect in effects.values()]
        against = [effect.p_short(sign * self.bound_percent, sign) for effect in effects.values()]
        worst = min(effects, key=lambda middle: sign * effects[middle].found.mean)
        found = of_effect(
            effects[worst],
            numbers.metric,
            p_for=max(p_for),
            p_against=min(1.0, len(against) * min(against)) if min(against) >= 0 else min(against),
            reason=f"the {'smallest' if sign > 0 else 'largest'} of {len(effects)} ranges, about "
            f"t = {worst:.0f}",
        )
        # No effect that could be 0: only its level is compared.
        return replace(found, source=None)

    @property
    def _sign(self) -> int:
        return 1 if self.predicts == "above" else -1

    def compared(self) -> dict[str, str]:
        return {"task": self.task, "variant": self.variant}

    def prediction(self) -> str:
        return f"{self.predicts} {self.bound_percent:g} % of N at every timestep"

    def observed(self, found: Measurement) -> str:
        return f"exp(entropy) is {size(found.effect)} of N"

    def shown(self, found: Measurement) -> str:
        return f"exp(entropy) is {self.predicts} {self.bound_percent:g} % of N in every range"

    def refuted(self, found: Measurement) -> str:
        side = "below" if self._sign > 0 else "above"
        return f"exp(entropy) is {side} {self.bound_percent:g} % of N, {size(found.effect)}"
