"""The gate uses more prompts at later timesteps."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator

from dmp.claims.evidence import (
    Judged,
    Run,
    VariantName,
    canonical,
    percent,
    register_evidence,
    size,
)
from dmp.claims.kinds.difference import PAIR
from dmp.claims.measurement import Effect, Measurement, directed, of_effect

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

UNTRAINED = "untrained"


def _control(text: str) -> str:
    return text if text == UNTRAINED else canonical(text)


@register_evidence("entropy")
class Entropy(Judged):
    """The effective number of prompts, exp(entropy) of the gate, rises with the timestep.

    Attributes:
        against: more so than in a variant; ``untrained``, in the same gates before training; or
            nothing, than not at all.
    """

    own_metric: ClassVar[str] = "prompts_used"
    task: str
    variant: VariantName
    against: Annotated[str, AfterValidator(_control)] | None = None
    predicts: Literal["rises-with-timestep"]

    def runs(self) -> list[Run]:
        others = [] if self.against in (None, UNTRAINED) else [self.against]
        return [(self.task, variant) for variant in [self.variant, *others]]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the slope over timesteps, in percent of N prompts per 1000 timesteps."""
        from dmp.statistics.contrast import align

        arms = [numbers.arm(self.task, variant, "timestep") for _, variant in self.runs()]
        if self.against == UNTRAINED:
            arms.append(numbers.arm(self.task, self.variant, "untrained"))
        data = align([arm.slopes(per=1000) for arm in arms])
        effect = Effect(data.contrast(PAIR[: len(arms)]), "N prompts per 1000 timesteps")
        return of_effect(effect, numbers.metric, **directed(effect, 1, numbers.relevant))

    def compared(self) -> dict[str, str]:
        return {"task": self.task, "variant": self.variant, "against": self.against or ""}

    def prediction(self) -> str:
        return "rises with the timestep" + (", more than against" if self.against else "")

    def observed(self, found: Measurement) -> str:
        side = "higher" if found.effect > 0 else "lower"
        than = "than against, by" if self.against else "than 0:"
        return f"the slope is {side} {than} {size(found.effect)} of {found.of}"

    def excluded(self, found: Measurement) -> str:
        return f"a rise by {percent(found.relevant)} of {found.of}"
