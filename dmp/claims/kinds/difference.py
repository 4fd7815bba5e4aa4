"""One variant is better or worse than another, or not by more than a margin."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import PositiveFloat, model_validator

from dmp.claims.evidence import Pair, Printed, register_evidence
from dmp.claims.measurement import (
    CONTRADICTED,
    Measurement,
    not_tested,
    of_contrast,
    of_paper,
    two_sided,
)

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers
    from dmp.statistics.contrast import Aligned, Contrast

PAIR = (1, -1)


@register_evidence("difference")
class Difference(Pair):
    """A paired difference ``variant - against``.

    Attributes:
        predicts: ``not-better`` holds if an improvement by more than the margin is excluded.
        margin_percent: of the mean of ``against``; for ``not-better`` and ``not-worse`` only.
        metric: one metric in place of the endpoints; it then counts with the primary endpoint.
        paper: the paper's numbers of ``variant`` and ``against`` in the primary endpoint.

    """

    in_endpoints: ClassVar[bool] = True
    predicts: Literal["better", "worse", "not-better", "not-worse"]
    margin_percent: PositiveFloat = 5.0
    metric: str | None = None
    paper: tuple[Printed, Printed] | None = None

    @model_validator(mode="after")
    def _margin_has_an_effect(self) -> Self:
        if "margin_percent" in self.model_fields_set and not self._excludes:
            raise ValueError(f"margin_percent has no effect with predicts = {self.predicts}; "
                             f"it needs not-better or not-worse")  # fmt: skip
        return self

    @property
    def _excludes(self) -> bool:
        return self.predicts.startswith("not-")

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test it by the paired t test."""
        data = numbers.aligned(self.task, [self.variant, self.against])
        found, reference = data.contrast(PAIR), numbers.reference(data)
        better, worse = directions(found, numbers.sign)
        fixed = {}
        if not self._excludes:
            p_for, p_against = (better, worse) if self.predicts == "better" else (worse, better)
            fixed = without_effect(data, found)
        elif not reference > 0:
            return not_tested(numbers.metric, no_margin(self.against, numbers.metric))
        else:
            margin = self.margin_percent / 100 * reference
            # Two-sided like the other tests: the 95 % interval excludes the margin.
            not_better = self.predicts == "not-better"
            below = (numbers.sign > 0) == not_better
            beyond = found.p_below(margin) if below else found.p_above(-margin)
            p_for, p_against = two_sided(beyond), better if not_better else worse
        paper = of_paper(self.paper if numbers.primary else None, PAIR)
        return of_contrast(
            found, numbers.metric, p_for, p_against, reference=reference, **paper, **fixed
        )

    def prediction(self) -> str:
        if self._excludes:
            return f"{self.predicts.replace('-', ' ')} by more than {self.margin_percent:g} %"
        return self.predicts

    def conclusion(self, found: Measurement, contradicted: bool) -> str:
        if not self._excludes or contradicted:
            return super().conclusion(found, contradicted)
        change = "an improvement" if self.predicts == "not-better" else "a decline"
        return f"{change} by more than {self.margin_percent:g} % is excluded"


def directions(found: "Contrast", sign: int) -> tuple[float, float]:
    """Return the two-sided p values for an improvement and for the opposite."""
    up, down = two_sided(found.p_above(0)), two_sided(found.p_below(0))
    return (up, down) if sign > 0 else (down, up)


def without_effect(data: "Aligned", found: "Contrast") -> dict[str, str]:
    """Return a verdict where all contrasts are exactly 0, although the seeds differ.

    That is no coincidence of a noisy measurement: what is compared does not enter the runs.
    """
    first = data.values[:, 0]
    if found.n > 1 and found.mean == found.sd == 0 and first.max() > first.min():
        told = f"equal to the last digit in each of {len(first)} seeds: it has no effect"
        return {"verdict": CONTRADICTED, "reason": told}
    return {}


def no_margin(against: str, metric: str) -> str:
    """Return why there is no margin."""
    return f"the margin is a share of {against}, whose {metric} is not positive"
