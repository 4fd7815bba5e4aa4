"""The difference between two variants that share their seeds.

Within a seed all variants see the same data order and noise, so that the seed's own effect cancels
in the difference. All fields are computed from the n differences of the units of inference
(:mod:`dmp.statistics.estimates`), and do not depend on the order of the seeds.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats
from statsmodels.stats.power import TTestPower

from dmp.errors import DMPError
from dmp.rng import generator
from dmp.statistics.estimates import (
    ROUNDING,
    Array,
    as_values,
    mean_and_sd,
    t_interval,
    unit_means,
)
from dmp.statistics.robust import sign_flip_p

ALPHA = 0.05
POWER = 0.8
# Above so many pairs, t and normal distribution need the same number of them.
NORMAL = 10_000


@dataclass(frozen=True)
class Difference:
    """A paired difference ``a - b``.

    With one unit, all but the means and ``p_exact`` = 1 are NaN. If all differences are equal
    (``sd`` = 0), each field is its limit for sd → 0: the intervals are the point ``mean``;
    ``p_t`` is 1 and ``effect_size`` 0 if the mean is 0 (arms that do the same), else 0 and ±∞;
    ``detectable`` is 0.

    Attributes:
        t_low, t_high: limits of the t interval.
        boot_low, boot_high: limits of the bootstrap interval (BCa); NaN below 3 units.
        p_t: two-sided p value of the paired t test.
        p_exact: two-sided p value of the sign-flip test.
        effect_size: Hedges' g_z, the mean in standard deviations of the differences, corrected
            for small samples; NaN below 3 units, where the correction is not defined.
        detectable: the smallest true |difference| that a two-sided paired t test at the 5 % level
            would find with 80 % power, were ``sd`` the true standard deviation; not corrected for
            multiple comparisons.
        sd: standard deviation of the differences between units.
        mean_a, mean_b: means of ``a`` and ``b`` over units.
    """

    mean: float
    t_low: float
    t_high: float
    boot_low: float
    boot_high: float
    p_t: float
    p_exact: float
    effect_size: float
    detectable: float
    sd: float
    n: int
    mean_a: float
    mean_b: float


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Difference:
    """Compare two arms that are aligned by seed.

    Args:
        a: (seeds,) one number per seed.
        b: (seeds,) the other arm, the same seeds in the same order.
        clusters: (seeds,) the baseline of each seed; see :mod:`dmp.statistics.estimates`.
        level: coverage of both intervals.
        resamples: bootstrap resamples; 9,999 leave each limit a Monte-Carlo standard error of up to
            2.5 % of the interval's width.
        seed: of the resampling; the same differences and seed give the same limits.

    Raises:
        DMPError: an arm is empty or not finite, or lengths differ.
    """
    a, b = as_values(a, "a"), as_values(b, "b")
    if len(a) != len(b):
        raise DMPError(f"a has {len(a)} values and b has {len(b)}; the arms must be paired by seed")
    units = unit_means(a - b, clusters)
    mean_a = float(np.sort(unit_means(a, clusters)).mean())
    mean_b = float(np.sort(unit_means(b, clusters)).mean())
    n, magnitude = len(units), max(np.abs(a).max(), np.abs(b).max())
    # The statistics are computed for a difference that is not negative, and mirrored: so that
    # swapping the arms mirrors every limit to the last bit, resampling included.
    sign = -1.0 if np.sort(units).mean() < 0 else 1.0
    units = np.sort(sign * units)
    mean, sd = mean_and_sd(units, magnitude)
    if sd == 0 and abs(mean) <= ROUNDING * magnitude:
        mean, units = 0.0, np.zeros(n)
    t_limits = t_interval(mean, sd, n, level)
    boot_limits = _bootstrap_interval(units, mean, sd, level, resamples, seed)
    t_low, t_high = sorted(sign * limit + 0.0 for limit in t_limits)
    boot_low, boot_high = sorted(sign * limit + 0.0 for limit in boot_limits)
    return Difference(
        mean=sign * mean + 0.0,
        t_low=t_low,
        t_high=t_high,
        boot_low=boot_low,
        boot_high=boot_high,
        p_t=_t_test(mean, sd, n),
        p_exact=sign_flip_p(units, seed),
        effect_size=sign * _hedges_g(mean, sd, n) + 0.0,
        detectable=detectable_effect(n) * sd if n > 1 else math.nan,
        sd=sd,
        n=n,
        mean_a=mean_a,
        mean_b=mean_b,
    )


def power(effect: float, n: int, df: int | None = None, level: float = ALPHA / 2) -> float:
    """Return the power of a paired t test that looks in both directions.

    Args:
        effect: the true difference in standard deviations; 0 gives twice the level, ±∞ gives 1.
        n: number of units, at least 2.
        df: the degrees of freedom of the standard deviation, if they are not n - 1.
        level: in each direction.
    """
    if math.isinf(effect):
        return 1.0
    found, opposite = (
        TTestPower().power(abs(effect), n, level, df, alternative=side)
        for side in ("larger", "smaller")
    )
    # In the opposite direction large effects are found so rarely that it cannot be computed.
    return float(found + np.nan_to_num(opposite))


@functools.cache
def detectable_effect(n: int, df: int | None = None, level: float = ALPHA / 2) -> float:
    """Return the effect in standard deviations that n ≥ 2 pairs find with 80 % power.

    Args:
        df, level: see :func:`power`.
    """
    # The normal distribution's answer is too small, by less than half from five pairs on.
    low = (stats.norm.ppf(1 - level) + stats.norm.ppf(POWER)) / np.sqrt(n)
    high = 12.0 * ALPHA / 2 / level if n < 5 else 2 * low
    while power(high, n, df, level) < POWER:  # with few pairs, at a level far below 1 %
        high *= 2
    return float(
        optimize.brentq(lambda effect: power(effect, n, df, level) - POWER, 0.9 * low, high)
    )


def units_needed(effect: float, level: float = ALPHA / 2) -> int:
    """Return how many units find an effect, in standard deviations and not 0, with 80 % power.

    Args:
        level: see :func:`power`.
    """
    effect = abs(effect)
    if math.isinf(effect):
        return 2
    # The normal distribution needs fewer than t, so that the search goes up from there.
    normal = ((stats.norm.ppf(1 - level) + stats.norm.ppf(POWER)) / effect) ** 2
    n = max(2, math.ceil(normal))
    if n > NORMAL:
        return n
    while detectable_effect(n, level=level) > effect:
        n += 1
    return n


def _t_test(mean: float, sd: float, n: int) -> float:
    if n == 1:
        return math.nan
    if sd == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) * np.sqrt(n) / sd, n - 1))


def _hedges_g(mean: float, sd: float, n: int) -> float:
    """Return d_z × J(n - 1), J(m) = Γ(m/2) / (√(m/2) Γ((m - 1)/2)) (Hedges 1981)."""
    if n < 3:
        return math.nan
    if sd == 0:
        return 0.0 if mean == 0 else math.inf
    m = n - 1
    correction = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    return float(mean / sd * correction)


def _bootstrap_interval(
    units: Array, mean: float, sd: float, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Return BCa limits of the mean over (n,) units (Efron 1987).

    BCa is undefined only if all units are equal. With few units it covers less than ``level``
    (about 86 % at n = 5, where the t interval keeps 95 % for normal differences).
    """
    n = len(units)
    if n < 3:
        return math.nan, math.nan
    if sd == 0:
        return mean, mean
    # Many resamples of few units are permutations of the data. BCa counts those as ties, which
    # takes exact sums: sums of multiples of 2^-30 are exact.
    grid = 2.0**30
    standardised = np.round((units - mean) / sd * grid) / grid
    outcome = stats.bootstrap(
        (standardised,),
        np.sum,
        n_resamples=resamples,
        confidence_level=level,
        method="BCa",
        rng=generator(seed, "bootstrap"),
    )
    low, high = outcome.confidence_interval
    return float(mean + sd * low / n), float(mean + sd * high / n)
