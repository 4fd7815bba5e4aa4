"""What one piece of evidence measured, before all are corrected together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmp.statistics.contrast import Contrast

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_TESTED = "not tested"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED)
NAN = math.nan


@dataclass(frozen=True)
class Measurement:
    """One number with two p values, for the claim and against it.

    At most one of the two hypotheses that they test is true, so that the smaller one is a p value
    of the whole, and enters the correction.

    Attributes:
        metric: what was compared.
        effect: in units of the metric.
        low: lower limit of its 95 % interval.
        high: upper limit.
        reference: mean of the arm that the effect is relative to; NaN where there is none.
        p_for: small if the claim holds.
        p_against: small if its opposite holds; NaN like ``p_for`` where nothing is tested.
        n: number of units.
        unit: ``seed``, ``baseline``, ``run`` or ``repeat``.
        sd: standard deviation between units.
        detectable: the smallest true effect that is found with 80 % power.
        paper_effect: the paper's own effect.
        paper_relative: that in percent of the paper's own reference.
        verdict: fixed, where no test is needed; otherwise empty.
        reason: for a fixed verdict; otherwise added to the sentence.

    """

    metric: str
    effect: float = NAN
    low: float = NAN
    high: float = NAN
    reference: float = NAN
    p_for: float = NAN
    p_against: float = NAN
    n: int | None = None
    unit: str = ""
    sd: float = NAN
    detectable: float = NAN
    paper_effect: float = NAN
    paper_relative: float = NAN
    verdict: str = ""
    reason: str = ""

    @property
    def p(self) -> float:
        """The p value that enters the correction."""
        return min(self.p_for, self.p_against)

    def relative(self, value: float) -> float:
        """Return a value in percent of the reference; NaN where that is not positive."""
        return 100 * value / self.reference if self.reference > 0 else NAN

    @property
    def standardised_paper_effect(self) -> float:
        """The paper's relative effect, on this reference, in standard deviations; NaN if unknown.

        An effect of 0 has no direction that more units could settle.
        """
        if math.isnan(self.paper_relative) or not self.paper_relative or not self.reference > 0:
            return NAN
        if math.isnan(self.sd):
            return NAN
        effect = self.paper_relative / 100 * self.reference
        return effect / self.sd if self.sd else math.copysign(math.inf, effect)

    @property
    def paper_excluded(self) -> bool | None:
        """Whether the interval excludes the paper's relative effect; None if unknown."""
        low, high = self.relative(self.low), self.relative(self.high)
        if math.isnan(self.paper_relative) or math.isnan(low):
            return None
        return not low <= self.paper_relative <= high


def of_contrast(
    found: "Contrast", metric: str, p_for: float, p_against: float, **fields: Any
) -> Measurement:
    """Return the measurement of a contrast; ``fields`` are further ones of it."""
    return Measurement(
        metric=metric, effect=found.mean, low=found.low, high=found.high, n=found.n,
        unit=found.unit, sd=found.sd, detectable=found.detectable, p_for=p_for,
        p_against=p_against, **fields,
    )  # fmt: skip


def of_paper(
    numbers: Sequence[str] | None, weights: Iterable[float], reference: int = -1
) -> dict[str, float]:
    """Return the same contrast of the paper's numbers, as fields of a measurement."""
    if numbers is None:
        return {}
    exact = [Decimal(number) for number in numbers]
    effect = float(sum(Decimal(str(w)) * x for w, x in zip(weights, exact, strict=True)))
    return {"paper_effect": effect, "paper_relative": 100 * effect / float(exact[reference])}


def not_tested(metric: str, reason: str) -> Measurement:
    """Return the measurement of evidence without numbers."""
    return Measurement(metric=metric, verdict=NOT_TESTED, reason=reason)


def two_sided(p_value: float) -> float:
    """Return the two-sided p value of a one-sided one; NaN for NaN."""
    return min(1.0, 2 * p_value) if p_value == p_value else NAN
