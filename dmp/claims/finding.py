"""What one piece of evidence found, before all are corrected together."""

import math
from dataclasses import dataclass

from dmp.claims.contrast import Contrast
from dmp.statistics.paired import power, units_needed

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_TESTED = "not tested"
NAN = math.nan


@dataclass(frozen=True)
class Finding:
    """One number with two p values, for the claim and against it.

    At most one of the two hypotheses that they test is true, so that the smaller one is a p value
    of the whole piece, and enters the correction.

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
    def units_needed(self) -> int | None:
        """Units that find the paper's relative effect with 80 % power; None if unknown."""
        effect = self.standardised_paper_effect
        return None if math.isnan(effect) else units_needed(effect)

    @property
    def power(self) -> float:
        """The power with which these units find the paper's relative effect; NaN if unknown."""
        effect = self.standardised_paper_effect
        return NAN if math.isnan(effect) else power(effect, self.n)

    @property
    def paper_excluded(self) -> bool | None:
        """Whether the interval excludes the paper's relative effect; None if unknown."""
        low, high = self.relative(self.low), self.relative(self.high)
        if math.isnan(self.paper_relative) or math.isnan(low):
            return None
        return not low <= self.paper_relative <= high


def from_contrast(found: Contrast, metric: str, **fields: object) -> Finding:
    """Return the finding of a contrast; ``fields`` are further ones of :class:`Finding`."""
    return Finding(
        metric=metric, effect=found.mean, low=found.low, high=found.high, n=found.n,
        unit=found.unit, sd=found.sd, detectable=found.detectable, **fields,
    )  # fmt: skip


def not_tested(metric: str, reason: str) -> Finding:
    """Return the finding of evidence without numbers."""
    return Finding(metric=metric, verdict=NOT_TESTED, reason=reason)
