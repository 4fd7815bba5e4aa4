"""Two parts of a method do more together than alone."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dmp.claims.evidence import Judged, Printed, Run, VariantName, percent, register_evidence, size
from dmp.claims.kinds.difference import CHANGES
from dmp.claims.measurement import Measurement, directed, of_effect, of_paper
from dmp.statistics.labels import metric_name

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

_WEIGHTS = (1, -1, -1, 1)


@register_evidence("interaction")
class Interaction(Judged):
    """Two parts do more together than alone: ``(both / first) / (second / neither)``.

    ``paper`` has the numbers of both, first, second, neither.
    """

    in_endpoints: ClassVar[bool] = True
    task: str
    both: VariantName
    first: VariantName
    second: VariantName
    neither: VariantName
    predicts: Literal["better", "worse"]
    paper: (
        Annotated[tuple[Printed, ...], Field(min_length=4, max_length=4, strict=False)] | None
    ) = None

    def runs(self) -> list[Run]:
        return [(self.task, v) for v in (self.both, self.first, self.second, self.neither)]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the ratio of the ratios."""
        effect = numbers.effect(self.task, [variant for _, variant in self.runs()], _WEIGHTS)
        sign = numbers.sign if self.predicts == "better" else -numbers.sign
        return of_effect(
            effect,
            numbers.metric,
            **directed(effect, sign, numbers.relevant),
            **of_paper(self.paper if numbers.primary else None, _WEIGHTS),
        )

    def compared(self) -> dict[str, str]:
        against = f"{self.first} + {self.second} − {self.neither}"
        return {"task": self.task, "variant": self.both, "against": against}

    def prediction(self) -> str:
        return f"{self.predicts} together than both alone"

    def observed(self, found: Measurement) -> str:
        side = "higher" if found.effect > 0 else "lower"
        name = metric_name(found.metric)
        return f"{name} is {side} by {size(found.effect)} than both parts alone make it"

    def excluded(self, found: Measurement) -> str:
        return f"{CHANGES[self.predicts]} by {percent(found.relevant)} beyond both parts alone"
