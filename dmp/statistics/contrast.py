"""Several arms of the same seeds, and a fixed combination of them, averaged over the units.

A paired difference is the combination (1, -1), an interaction (1, -1, -1, 1), a slope over k ranks
the weights of the least-squares line; on logarithms they are ratios. A combination may also be told
as a share of another one. All are judged by the t distribution of the n units of inference
(:mod:`dmp.statistics.estimates`).

Where m further baselines are known (:attr:`dmp.statistics.arms.Arm.spread`), the standard deviation
is pooled, s² = ((n - 1) s_n² + (m - 1) s_m²) / (n + m - 2), and the mean is that of the n alone.
(mean - μ) / (s / √n) then has the t distribution with n + m - 2 degrees of freedom, where all are
normal with one standard deviation; runs of one configuration differ by their seeds alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from dmp.statistics.arms import Arm, Unmeasured, check_pair
from dmp.statistics.estimates import (
    ROUNDING,
    Array,
    Estimate,
    line_weights,
    mean_and_sd,
    t_interval,
    unit_means,
)
from dmp.statistics.paired import detectable_effect


@dataclass(frozen=True)
class UnitEstimate(Estimate):
    """A mean over units, and the units.

    Attributes:
        unit: ``seed`` or ``baseline``.
        units: (n,) the contrast of each unit, in ascending order.
        further: m, how many units beside these ``sd`` is of; 0 or at least 2.
    """

    unit: str
    units: tuple[float, ...] = field(default=(), repr=False)
    further: int = 0

    @property
    def df(self) -> int:
        """The degrees of freedom of ``sd``."""
        return self.n - 1 + max(0, self.further - 1)

    def detectable(self, level: float) -> float:
        """Return the smallest true effect that a t test finds with 80 % power.

        Args:
            level: in each direction.
        """
        return detectable_effect(self.n, self.df, level) * self.sd if self.n > 1 else math.nan


class Contrast(UnitEstimate):
    """A contrast and its uncertainty.

    With one unit all but ``mean`` are NaN. With ``sd`` = 0 each p value is its limit for sd → 0:
    0 beyond the bound, else 1.
    """

    def p_below(self, bound: float) -> float:
        """Return the one-sided p value of the hypothesis that the effect is at least ``bound``."""
        return self._p(self.mean - bound)

    def p_above(self, bound: float) -> float:
        """Return the one-sided p value of the hypothesis that the effect is at most ``bound``."""
        return self._p(bound - self.mean)

    def _p(self, beyond: float) -> float:
        if self.n == 1:
            return math.nan
        if self.sd == 0:
            return 0.0 if beyond < 0 else 1.0
        return float(special.stdtr(self.df, beyond * math.sqrt(self.n) / self.sd))


@dataclass(frozen=True)
class Share(UnitEstimate):
    """A contrast as a share of another one of the same units: the ratio of their two means.

    It is compared with a bound b by the t test of ``contrast - b × whole``, which is exact where
    both are normal, and takes no reference as known; the interval holds the bounds that this test
    does not reject (Fieller 1954). The mean of ``whole`` is taken to be positive; ``sd`` and
    ``units`` are of what the contrast has beside its share, at the share that was found.

    Attributes:
        minus: returns the contrast of which the bound times ``whole`` is taken away.
    """

    minus: Callable[[float], Contrast] = field(kw_only=True, repr=False, compare=False)

    def p_below(self, bound: float) -> float:
        """Return the one-sided p value of the hypothesis that the share is at least ``bound``."""
        return self.minus(bound).p_below(0)

    def p_above(self, bound: float) -> float:
        """Return the one-sided p value of the hypothesis that the share is at most ``bound``."""
        return self.minus(bound).p_above(0)


@dataclass(frozen=True)
class Aligned:
    """Several arms that share their seeds.

    Attributes:
        values: (seeds, arms).
        baselines: (seeds,) the baseline of each seed; with several, these are the units.
        spread: the same arms on further baselines, for their standard deviation.
    """

    values: Array
    baselines: np.ndarray
    spread: "Aligned | None" = None

    def contrast(self, weights: ArrayLike) -> Contrast:
        """Estimate ``Σ weights × arms``, with a 95 % interval."""
        weights = np.asarray(weights, dtype=np.float64)
        units = np.sort(self._units(weights))
        magnitude = float(np.abs(self.values).max() * np.abs(weights).max())
        mean, sd = mean_and_sd(units, magnitude)
        further = np.array([]) if self.spread is None else np.sort(self.spread._units(weights))
        if len(further):
            sd = math.sqrt(_pooled(sd**2, mean_and_sd(further, magnitude)[1] ** 2, units, further))
        if abs(mean) <= ROUNDING * magnitude and not sd > 0:
            mean = 0.0
        unit = "baseline" if len(np.unique(self.baselines)) > 1 else "seed"
        found = Contrast(
            mean, math.nan, math.nan, sd, len(units), unit, tuple(units.tolist()), len(further)
        )
        low, high = t_interval(mean, sd, len(units), level=0.95, df=found.df)
        return replace(found, low=low, high=high)

    @property
    def positive(self) -> bool:
        """Whether every value has a logarithm."""
        return bool((self.values > 0).all()) and (self.spread is None or self.spread.positive)

    def logs(self) -> "Aligned":
        """Return the natural logarithms; every value must be positive."""
        spread = self.spread and self.spread.logs()
        return Aligned(np.log(self.values), self.baselines, spread)

    def over(self, whole: "Aligned") -> "Aligned":
        """Return every value as a share of that of the same seed in (seeds, 1) others."""
        own, others, spread = self.spread, whole.spread, None
        if own and others and np.array_equal(own.baselines, others.baselines):
            spread = own.over(others)
        return Aligned(self.values / whole.values, self.baselines, spread)

    def share(self, weights: ArrayLike, whole: ArrayLike) -> Share:
        """Estimate the contrast ``weights`` as a share of the contrast ``whole``.

        Raises:
            Unmeasured: the mean of ``whole`` is not positive.
        """
        weights, whole = np.asarray(weights, np.float64), np.asarray(whole, np.float64)
        top, bottom = self.contrast(weights), self.contrast(whole)
        if not bottom.mean > 0:
            raise Unmeasured("what the effect would be a share of is not positive")

        def minus(bound: float) -> Contrast:
            return self.contrast(weights - bound * whole)

        mean = top.mean / bottom.mean
        rest = minus(mean)
        covariance = self._covariance(weights - mean * whole, whole)
        low, high = _fieller(rest, bottom, covariance, mean)
        units = tuple(mean + x / bottom.mean for x in rest.units)
        sd = rest.sd / bottom.mean
        return Share(mean, low, high, sd, top.n, top.unit, units, top.further, minus=minus)

    def _covariance(self, a: Array, b: Array) -> float:
        """Return the covariance of two contrasts between units, pooled as their variances are."""
        x, y = self._units(a), self._units(b)
        # Sorted, since the last bit of a sum depends on the order.
        own = float(np.sort((x - x.mean()) * (y - y.mean())).sum() / max(1, len(x) - 1))
        if self.spread is None:
            return own
        further = self.spread._units(b)
        return _pooled(own, self.spread._covariance(a, b), x, further)

    def _units(self, weights: Array) -> Array:
        # Arm by arm: a matrix product may round differently for another number of seeds.
        combined = np.sum([w * self.values[:, k] for k, w in enumerate(weights)], axis=0)
        return unit_means(combined, self.baselines)

    def slope_weights(self) -> Array:
        """Return (arms,) the weights by which the contrast is the slope over the arms' ranks."""
        return line_weights(np.arange(self.values.shape[1]))

    def page_p(self, sign: int) -> float:
        """Return the p value of Page's test that the arms rise in their order; fall, with -1."""
        rows = np.column_stack([unit_means(arm, self.baselines) for arm in self.values.T])
        return float(stats.page_trend_test(sign * rows).pvalue) if len(rows) > 1 else math.nan


def _pooled(own: float, others: float, units: Array, further: Array) -> float:
    """Return a variance of two samples with means of their own."""
    n, m = len(units) - 1, len(further) - 1
    return (n * own + m * others) / (n + m)


def _fieller(
    rest: Contrast, bottom: Contrast, covariance: float, mean: float
) -> tuple[float, float]:
    """Return the 95 % limits of the ratio of two means.

    They are the r at which the mean of ``top - r bottom`` is t standard errors from 0. With
    x = r - mean, that is the mean of ``rest - x bottom``, whose own mean is 0.
    """
    if rest.n == 1:
        return math.nan, math.nan
    t2 = float(special.stdtrit(rest.df, 0.975)) ** 2 / rest.n
    a = bottom.mean**2 - t2 * bottom.sd**2
    if a <= 0:  # bottom may be 0, and the ratio anything
        return -math.inf, math.inf
    b, c = t2 * covariance, -t2 * rest.sd**2
    root = math.sqrt(b**2 - a * c)
    return mean + (-b - root) / a, mean + (-b + root) / a


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
    values = np.column_stack([arm.last for arm in arms])
    return Aligned(values, arms[0].baselines.to_numpy(), _spread(arms))


def _spread(arms: Sequence[Arm]) -> Aligned | None:
    """Pair the arms' further baselines: two or more that all of them have, or none at all."""
    further = [arm.spread for arm in arms if arm.spread is not None]
    # Where all seeds rest on one baseline, a seed is the unit, and differs by less.
    if len(further) < len(arms) or arms[0].baselines.nunique() < 2:
        return None
    shared = set.intersection(*(arm.seeds for arm in further))
    common = [arm.of_seeds(shared) for arm in further]
    if common[0].baselines.nunique() < 2:
        return None
    return align(common)
