"""What one piece of evidence measured, before all are corrected together: an effect in percent.

Metrics that are positive are compared by their logarithms: a difference of logs is a ratio, whose
percentage needs no reference that would be taken as known, and is less skewed than a difference.
Percentages are factors there: 1 % less is 1 / 1.01. What is a share already, or may be 0 or less,
is compared as it stands.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmp.statistics.contrast import Contrast, Share

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
INCONCLUSIVE = "inconclusive"
NOT_TESTED = "not tested"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_TESTED)
NAN = math.nan


@dataclass(frozen=True)
class Effect:
    """A contrast of arms, told in percent.

    Attributes:
        found: the contrast, on logarithms or as a share.
        of: what it is in percent of, in words.
        log: whether ``found`` is on logarithms.
    """

    found: "Contrast | Share"
    of: str
    log: bool = False

    def percent(self, value: float) -> float:
        """Return a value of ``found`` in percent."""
        return 100 * math.expm1(value) if self.log else 100 * value

    def bound(self, percent: float) -> float:
        """Return a percentage as a value of ``found``: the same factor up and down."""
        if self.log:
            return math.copysign(math.log1p(abs(percent) / 100), percent)
        return percent / 100

    def p_beyond(self, percent: float, sign: int) -> float:
        """Return the p value of "no more than ``percent`` towards ``sign``", one-sided."""
        bound = sign * self.bound(percent)
        return self.found.p_above(bound) if sign > 0 else self.found.p_below(bound)

    def p_short(self, percent: float, sign: int) -> float:
        """Return the p value of "at least ``percent`` towards ``sign``", one-sided."""
        bound = sign * self.bound(percent)
        return self.found.p_below(bound) if sign > 0 else self.found.p_above(bound)

    def standardised(self, percent: float) -> float:
        """Return a percentage in standard deviations between units; NaN where there is none."""
        sd = self.found.sd
        if math.isnan(sd) or math.isnan(percent):
            return math.nan
        # A percentage of the paper may be anything above -100 %, and is a factor as it stands.
        value = math.log1p(percent / 100) if self.log else percent / 100
        return value / sd if sd else math.copysign(math.inf, value)


@dataclass(frozen=True)
class Measurement:
    """One number with its p values: for the claim, against it, and what else is told.

    All p values are one-sided. Those for and against enter the correction, as two families. Both
    hypotheses may be false: an effect that is there and too small to matter.

    Attributes:
        metric: what was compared.
        effect: in percent.
        low, high: limits of its 95 % interval.
        of: what it is in percent of, in words.
        relevant: the smallest relevant effect, or the margin, in percent.
        p_for: small if what the claim says is shown.
        p_against: small if the claim is refuted: what it says, in a size that matters, is excluded.
        p_same: small if the claimed direction is shown, whatever its size.
        p_opposite: small if the opposite direction is shown; NaN like ``p_same`` where the claim
            has none.
        p_bounded: small if a relevant effect in the opposite direction is excluded too.
        unit: ``seed``, ``baseline``, ``run`` or ``block``.
        further: how many units of the reference, beside the n, ``sd`` is of.
        sd: standard deviation between units, in percent.
        source: the effect itself, for what is computed from its units; None where it has none.
        paper_effect: the paper's own effect in percent.
        verdict: fixed, where no test is needed; otherwise empty.
        reason: for a fixed verdict; otherwise added to the sentence.
    """

    metric: str
    effect: float = NAN
    low: float = NAN
    high: float = NAN
    of: str = ""
    relevant: float = NAN
    p_for: float = NAN
    p_against: float = NAN
    p_same: float = NAN
    p_opposite: float = NAN
    p_bounded: float = NAN
    n: int | None = None
    unit: str = ""
    further: int = 0
    sd: float = NAN
    source: Effect | None = None
    paper_effect: float = NAN
    verdict: str = ""
    reason: str = ""

    @property
    def units(self) -> str:
        """How many units there are: ``3 baselines``, or with those that ``sd`` is of as well."""
        return count_of_units(self.n or 0, self.unit, self.further)

    @property
    def paper_excluded(self) -> bool | None:
        """Whether the interval excludes the paper's effect; None if unknown."""
        if math.isnan(self.paper_effect) or math.isnan(self.low):
            return None
        return not self.low <= self.paper_effect <= self.high


def count_of_units(n: int, unit: str, further: int) -> str:
    """Return ``3 baselines``, or ``3 baselines, spread of 12``."""
    own = f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{own}, spread of {n + further}" if further else own


def of_effect(effect: Effect, metric: str, **fields: Any) -> Measurement:
    """Return the measurement of an effect; ``fields`` are further ones of it."""
    found = effect.found
    return Measurement(
        metric=metric, effect=effect.percent(found.mean), low=effect.percent(found.low),
        high=effect.percent(found.high), of=effect.of, n=found.n, unit=found.unit,
        further=found.further, sd=effect.percent(found.sd),
        source=effect, **fields,
    )  # fmt: skip


def directed(effect: Effect, sign: int, relevant: float) -> dict[str, float]:
    """Return the p values of a claim that there is an effect towards ``sign``.

    It is shown if the effect is above 0 there, and refuted if one of ``relevant`` percent is
    excluded: a size that the opposite direction excludes all the more.
    """
    shown = effect.p_beyond(0, sign)
    return {
        "relevant": relevant,
        "p_for": shown,
        "p_against": effect.p_short(relevant, sign),
        "p_same": shown,
        "p_opposite": effect.p_beyond(0, -sign),
        "p_bounded": effect.p_short(relevant, -sign),
    }


def of_paper(numbers: Sequence[str] | None, weights: Iterable[float]) -> dict[str, float]:
    """Return the same ratio of the paper's numbers in percent, as a field of a measurement."""
    if numbers is None:
        return {}
    logs = [w * math.log(float(number)) for w, number in zip(weights, numbers, strict=True)]
    return {"paper_effect": 100 * math.expm1(math.fsum(logs))}


def not_tested(metric: str, reason: str) -> Measurement:
    """Return the measurement of evidence without numbers."""
    return Measurement(metric=metric, verdict=NOT_TESTED, reason=reason)
