"""Two variants do not differ by more than a margin."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat

from dmp.claims.evidence import Pair, Printed, register_evidence
from dmp.claims.kinds.difference import PAIR, no_margin
from dmp.claims.measurement import Measurement, not_tested, of_contrast, of_paper, two_sided

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers


@register_evidence("equivalence")
class Equivalence(Pair):
    """Two variants differ by no more than a margin, in percent of the mean of ``against``."""

    in_endpoints: ClassVar[bool] = True
    margin_percent: PositiveFloat
    metric: str | None = None
    paper: tuple[Printed, Printed] | None = None

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test it by two one-sided tests (Schuirmann 1987), taking the margin as known."""
        data = numbers.aligned(self.task, [self.variant, self.against])
        found, reference = data.contrast(PAIR), numbers.reference(data)
        if not reference > 0:
            return not_tested(numbers.metric, no_margin(self.against, numbers.metric))
        margin = self.margin_percent / 100 * reference
        inside = max(found.p_above(-margin), found.p_below(margin))
        outside = two_sided(min(found.p_below(-margin), found.p_above(margin)))
        paper = of_paper(self.paper if numbers.primary else None, PAIR)
        return of_contrast(found, numbers.metric, inside, outside, reference=reference, **paper)

    def prediction(self) -> str:
        return f"equal within {self.margin_percent:g} %"

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        side = "larger" if contradicted else "smaller"
        return f"the difference is {side} than {self.margin_percent:g} %"
