"""An effect in percent, whatever it was computed on, and the p values of bounds in percent.

Metrics that are positive are compared by their logarithms: a difference of logs is a ratio, whose
percentage needs no reference that would be taken as known, and is less skewed than a difference.
Percentages are factors there: 1 % less is 1 / 1.01. What is a share already, or may be 0 or less,
is compared as it stands.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmp.statistics.contrast import Contrast, Share


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
