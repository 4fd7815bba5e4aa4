"""A metric improves from each variant of a list to the next."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import pydantic

from dmp.claims.evidence import Judged, Printed, Run, VariantName, percent, register_evidence, size
from dmp.claims.measurement import Measurement, directed, of_effect, of_paper
from dmp.statistics.formatting import p_text
from dmp.statistics.labels import metric_name

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("trend")
class Trend(Judged):
    """The endpoints improve from each variant to the next; ``paper`` as the variants."""

    in_endpoints: ClassVar[bool] = True
    task: str
    variants: Annotated[list[VariantName], pydantic.Field(min_length=3)]
    predicts: Literal["better"]
    paper: list[Printed] | None = None

    @pydantic.model_validator(mode="after")
    def _one_number_per_variant(self) -> Self:
        if self.paper is not None and len(self.paper) != len(self.variants):
            raise ValueError(f"paper has {len(self.paper)} numbers for {len(self.variants)} "
                             f"variants; give one per variant")  # fmt: skip
        return self

    def runs(self) -> list[Run]:
        return [(self.task, variant) for variant in self.variants]

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test the line over the ranks of the variants; Page's test is told beside it.

        The effect is that of the line from the first variant to the last, so that what is relevant
        is as large as between two variants.
        """
        data = numbers.aligned(self.task, self.variants)
        weights = (data.slope_weights() * (len(self.variants) - 1)).tolist()
        effect = numbers.effect(self.task, self.variants, weights, base=0)
        page_p = data.page_p(numbers.sign)
        return of_effect(
            effect,
            numbers.metric,
            **directed(effect, numbers.sign, numbers.relevant),
            **of_paper(self.paper if numbers.primary else None, weights),
            reason=f"Page's test of this order: {p_text(page_p)}" if page_p == page_p else "",
        )

    def compared(self) -> dict[str, str]:
        return {"task": self.task, "variant": " → ".join(self.variants)}

    def prediction(self) -> str:
        return f"{self.predicts} at each step"

    def observed(self, found: Measurement) -> str:
        way = "rises" if found.effect > 0 else "falls"
        return f"{metric_name(found.metric)} {way} by {size(found.effect)} along the order"

    def excluded(self, found: Measurement) -> str:
        return f"an improvement by {percent(found.relevant)} along the order"
