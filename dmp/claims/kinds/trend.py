"""A metric improves from each variant of a list to the next."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dmp.claims.evidence import Evidence, Printed, Run, VariantName, register_evidence
from dmp.claims.kinds.difference import directions
from dmp.claims.measurement import Measurement, of_contrast, of_paper
from dmp.statistics.formatting import p_text
from dmp.statistics.labels import metric_name

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("trend")
class Trend(Evidence):
    """The endpoints improve from each variant to the next; ``paper`` as the variants."""

    in_endpoints: ClassVar[bool] = True
    task: str
    variants: Annotated[list[VariantName], Field(min_length=3)]
    predicts: Literal["better"]
    paper: list[Printed] | None = None

    @model_validator(mode="after")
    def _one_number_per_variant(self) -> Self:
        if self.paper is not None and len(self.paper) != len(self.variants):
            raise ValueError(f"paper has {len(self.paper)} numbers for {len(self.variants)} "
                             f"variants; give one per variant")  # fmt: skip
        return self

    def runs(self) -> list[Run]:
        return [(self.task, variant) for variant in self.variants]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the slope over the ranks of the variants; Page's test is told beside it."""
        data = numbers.aligned(self.task, self.variants)
        weights = data.slope_weights()
        found = data.contrast(weights)
        page = f"Page's test of this order: {p_text(data.page_p(numbers.sign))}"
        return of_contrast(
            found,
            numbers.metric,
            *directions(found, numbers.sign),
            reference=numbers.reference(data, arm=0),
            reason=page if found.n > 1 else "",
            **of_paper(self.paper if numbers.primary else None, weights, reference=0),
        )

    def compared(self) -> dict[str, str]:
        return {"task": self.task, "variant": " → ".join(self.variants)}

    def prediction(self) -> str:
        return f"{self.predicts} at each step"

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        way = "rises" if found.effect > 0 else "falls"
        return f"{metric_name(found.metric)} {way} along the order"
