"""The entropy of the gate rises with the timestep."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator

from dmp.claims.evidence import Evidence, Run, VariantName, canonical, higher, register_evidence
from dmp.claims.kinds.difference import PAIR, directions
from dmp.claims.measurement import Measurement, of_contrast

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

UNTRAINED = "untrained"


def _control(text: str) -> str:
    return text if text == UNTRAINED else canonical(text)


@register_evidence("entropy")
class Entropy(Evidence):
    """The entropy of the gate rises with the timestep, more so than in a control.

    Attributes:
        against: a variant; ``untrained``, the same gates before training; or nothing, a slope of 0.

    """

    own_metric: ClassVar[str] = "gate_entropy"
    task: str
    variant: VariantName
    against: Annotated[str, AfterValidator(_control)] | None = None
    predicts: Literal["rises-with-timestep"]

    def runs(self) -> list[Run]:
        others = [] if self.against in (None, UNTRAINED) else [self.against]
        return [(self.task, variant) for variant in [self.variant, *others]]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the slope over timesteps, in nats per 1000 timesteps."""
        arms = [numbers.arm(self.task, variant, "timestep") for _, variant in self.runs()]
        if self.against == UNTRAINED:
            arms.append(numbers.arm(self.task, self.variant, "untrained"))
        data = numbers.align([arm.slopes(per=1000) for arm in arms])
        found = data.contrast(PAIR[: len(arms)])
        return of_contrast(found, numbers.metric, *directions(found, sign=1))

    def compared(self) -> dict[str, str]:
        return {"task": self.task, "variant": self.variant, "against": self.against or ""}

    def prediction(self) -> str:
        return "rises with the timestep" + (", more than against" if self.against else "")

    def unit(self, metric: str) -> str:
        return "nats per 1000 timesteps"

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        return f"the slope is {higher(found)} than {'against' if self.against else '0'}"
