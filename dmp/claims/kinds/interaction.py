"""Two parts of a method do more together than alone."""

from typing import TYPE_CHECKING, ClassVar, Literal

from dmp.claims.evidence import Evidence, Printed, Run, VariantName, higher, register_evidence
from dmp.claims.kinds.difference import directions, without_effect
from dmp.claims.measurement import Measurement, of_contrast, of_paper
from dmp.statistics.labels import metric_name

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

_WEIGHTS = (1, -1, -1, 1)


@register_evidence("interaction")
class Interaction(Evidence):
    """Two parts do more together than alone: ``(both - first) - (second - neither)``.

    Effects are relative to ``neither``. ``paper`` has the numbers of both, first, second, neither.
    """

    in_endpoints: ClassVar[bool] = True
    task: str
    both: VariantName
    first: VariantName
    second: VariantName
    neither: VariantName
    predicts: Literal["better", "worse"]
    paper: tuple[Printed, Printed, Printed, Printed] | None = None

    def runs(self) -> list[Run]:
        return [(self.task, v) for v in (self.both, self.first, self.second, self.neither)]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the difference of the differences."""
        data = numbers.aligned(self.task, [variant for _, variant in self.runs()])
        found = data.contrast(_WEIGHTS)
        better, worse = directions(found, numbers.sign)
        p_for, p_against = (better, worse) if self.predicts == "better" else (worse, better)
        return of_contrast(
            found,
            numbers.metric,
            p_for,
            p_against,
            reference=numbers.reference(data),
            **of_paper(self.paper if numbers.primary else None, _WEIGHTS),
            **without_effect(data, found),
        )

    def compared(self) -> dict[str, str]:
        against = f"{self.first} + {self.second} − {self.neither}"
        return {"task": self.task, "variant": self.both, "against": against}

    def prediction(self) -> str:
        return f"{self.predicts} together than the sum of both alone"

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        name = metric_name(found.metric)
        return f"{name} is {higher(found)} than the sum of both parts alone"
