"""One tested number: a fixed combination of arms within each seed, averaged over the units.

A paired difference is the combination (1, -1), an interaction (1, -1, -1, 1), a slope over k ranks
the weights of the least-squares line. All are judged by the t distribution of the n units of
inference (:mod:`dmp.statistics.estimates`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dmp.statistics.estimates import Array, mean_and_sd, t_interval, unit_means
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


def contrast(
    values: ArrayLike, weights: ArrayLike, baselines: ArrayLike, level: float = 0.95
) -> Contrast:
    """Estimate ``Σ weights × arms``.

    Args:
        values: (seeds, arms).
        weights: (arms,).
        baselines: (seeds,) the baseline of each seed; with several, these are the units.
        level: coverage of the interval.

    """
    values = np.asarray(values, dtype=np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    # Arm by arm: a matrix product may round differently for another number of seeds.
    combined = np.sum([w * values[:, k] for k, w in enumerate(weights)], axis=0)
    units = np.sort(unit_means(combined, baselines))
    magnitude = float(np.abs(values).max() * np.abs(weights).max())
    mean, sd = mean_and_sd(units, magnitude)
    if abs(mean) <= 8 * np.finfo(np.float64).eps * magnitude and not sd > 0:
        mean = 0.0
    low, high = t_interval(mean, sd, len(units), level)
    several = len(np.unique(baselines)) > 1
    return Contrast(mean, low, high, sd, len(units), "baseline" if several else "seed")


def line_weights(positions: ArrayLike) -> Array:
    """Return (k,) weights w for which Σ w y is the slope of the least-squares line through y."""
    centred = np.asarray(positions, dtype=np.float64) - np.mean(positions)
    return centred / np.sum(centred**2)
