"""Several arms of the same seeds, and a fixed combination of them, averaged over the units.

A paired difference is the combination (1, -1), an interaction (1, -1, -1, 1), a slope over k ranks
the weights of the least-squares line. All are judged by the t distribution of the n units of
inference (:mod:`dmp.statistics.estimates`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dmp.statistics.arms import Arm, Unmeasured, check_pair
from dmp.statistics.estimates import (
    Array,
    line_weights,
    mean_and_sd,
    mean_interval,
    t_interval,
    unit_means,
)
from dmp.statistics.paired import detectable_effect


@dataclass(frozen=True)
class Contrast:
    """A contrast and its uncertainty.

    With one unit all but ``mean`` are NaN. With ``sd`` = 0 each p value is its limit for sd → 0:
    0 beyond the bound, else 1.

    Attributes:
        mean: mean over units.
        low: lower limit of the t interval.
        high: upper limit.
        sd: standard deviation between units.
        n: number of units.
        unit: ``seed`` or ``baseline``.

    """

    mean: float
    low: float
    high: float
    sd: float
    n: int
    unit: str

    def p_below(self, bound: float) -> float:
        """Return the one-sided p value of the hypothesis that the effect is at least ``bound``."""
        if self.n == 1:
            return math.nan
        if self.sd == 0:
            return 0.0 if self.mean < bound else 1.0
        return float(stats.t.cdf((self.mean - bound) * math.sqrt(self.n) / self.sd, self.n - 1))

    def p_above(self, bound: float) -> float:
        """Return the one-sided p value of the hypothesis that the effect is at most ``bound``."""
        mirrored = Contrast(-self.mean, -self.high, -self.low, self.sd, self.n, self.unit)
        return mirrored.p_below(-bound)

    @property
    def detectable(self) -> float:
        """The smallest true effect that a two-sided t test at 5 % finds with 80 % power."""
        return detectable_effect(self.n) * self.sd if self.n > 1 else math.nan


@dataclass(frozen=True)
class Aligned:
    """Several arms that share their seeds.

    Attributes:
        values: (seeds, arms).
        baselines: (seeds,) the baseline of each seed; with several, these are the units.

    """

    values: Array
    baselines: np.ndarray

    def mean(self, arm: int) -> float:
        """Return the mean of an arm over the units."""
        return mean_interval(self.values[:, arm], self.baselines).mean

    def contrast(self, weights: ArrayLike) -> Contrast:
        """Estimate ``Σ weights × arms``, with a 95 % interval."""
        weights = np.asarray(weights, dtype=np.float64)
        # Arm by arm: a matrix product may round differently for another number of seeds.
        combined = np.sum([w * self.values[:, k] for k, w in enumerate(weights)], axis=0)
        units = np.sort(unit_means(combined, self.baselines))
        magnitude = float(np.abs(self.values).max() * np.abs(weights).max())
        mean, sd = mean_and_sd(units, magnitude)
        if abs(mean) <= 8 * np.finfo(np.float64).eps * magnitude and not sd > 0:
            mean = 0.0
        low, high = t_interval(mean, sd, len(units), level=0.95)
        several = len(np.unique(self.baselines)) > 1
        return Contrast(mean, low, high, sd, len(units), "baseline" if several else "seed")

    def slope_weights(self) -> Array:
        """Return (arms,) the weights by which the contrast is the slope over the arms' ranks."""
        return line_weights(np.arange(self.values.shape[1]))

    def page_p(self, sign: int) -> float:
        """Return the p value of Page's test that the arms rise in their order; fall, with -1."""
        rows = np.column_stack([unit_means(arm, self.baselines) for arm in self.values.T])
        return float(stats.page_trend_test(sign * rows).pvalue) if len(rows) > 1 else math.nan


def align(arms: Sequence[Arm]) -> Aligned:
    """Pair the last values of arms by seed.

    Raises:
        Unmeasured: an arm lacks a seed that another has.
        DMPError: see :func:`dmp.statistics.arms.check_pair`.

    """
    seeds = set().union(*(arm.seeds for arm in arms))
    for arm in arms:
        lacking = sorted(seeds - arm.seeds)
        if lacking:
            raise Unmeasured(f"{arm.variant} lacks seeds {', '.join(map(str, lacking))}")
        check_pair(arms[0], arm)
    return Aligned(np.column_stack([arm.last for arm in arms]), arms[0].baselines.to_numpy())
