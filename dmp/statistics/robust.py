"""Readings of paired differences that do not take them for normal.

They stand beside the t test and decide nothing: what decides is written down before the numbers are
seen.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from dmp.rng import generator
from dmp.statistics.estimates import ROUNDING, Array

# The sums of either half are counted: 2^15 of them are sorted in milliseconds.
LARGEST_EXACT = 30
RANDOM_FLIPS = 99_999


def sign_flip_p(differences: ArrayLike, seed: int = 0) -> float:
    """Return the two-sided p value of Fisher's sign-flip test of (n,) differences.

    If the arms do not differ, each difference is as likely as its negative; p is the share of the
    2^n sign assignments whose |mean| is at least the observed one. The observed assignment and its
    mirror image are among them, so that p is never below 2 / 2^n: n = 5 cannot reach 0.05.
    All assignments are counted up to n = 30; above, p is estimated from 99,999 random ones, drawn
    from ``seed``, and the observed one.
    """
    differences = np.asarray(differences, dtype=np.float64)
    n, total = len(differences), float(np.abs(differences).sum())
    if n == 1:
        return 1.0
    least = abs(float(differences.sum())) - ROUNDING * total
    if n > LARGEST_EXACT:
        sums = _random_sums(differences, generator(seed, "sign-flip"))
        return float((1 + np.count_nonzero(np.abs(sums) >= least)) / (1 + RANDOM_FLIPS))
    # Every assignment is one of the first half beside one of the second: for each sum of the one,
    # those of the other that reach far enough are counted in their order.
    first, second = _sums(differences[: n // 2]), np.sort(_sums(differences[n // 2 :]))
    reach = len(second) - np.searchsorted(second, least - first, side="left")
    # Each assignment has a mirror image, and both count where the observed sum is 0.
    return float(min(1.0, 2 * reach.sum() / 2.0**n))


def _random_sums(differences: Array, rng: np.random.Generator) -> Array:
    """Return (RANDOM_FLIPS,) sums under random signs: of eight numbers at a time, from a table."""
    sums = np.zeros(RANDOM_FLIPS)
    for first in range(0, len(differences), 8):
        table = _sums(differences[first : first + 8])
        sums += table[rng.integers(0, len(table), RANDOM_FLIPS, dtype=np.uint16)]
    return sums


def _sums(differences: Array) -> Array:
    """Return the (2^n,) sums of (n,) numbers under all assignments of signs."""
    sums = np.zeros(1)
    for value in differences:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def hodges_lehmann(differences: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Return the Hodges-Lehmann estimate of the centre of (n,) differences, with its interval.

    The estimate is the median of the n (n + 1) / 2 Walsh averages, the limits are those of them
    that Wilcoxon's exact signed-rank test does not reject (Hollander, Wolfe and Chicken 2014,
    eq. 3.29), for differences that are symmetric about the centre. The limits are NaN where n is so
    small that no such interval has the level: below 6 for 95 %.
    """
    differences = np.asarray(differences, dtype=np.float64)
    n = len(differences)
    i, j = np.triu_indices(n)
    walsh = np.sort((differences[i] + differences[j]) / 2)
    # P(W <= k) of the signed-rank statistic: rank r counts or does not, each with 1/2.
    shares = np.ones(1)
    for rank in range(1, n + 1):
        shares = (np.pad(shares, (0, rank)) + np.pad(shares, (rank, 0))) / 2
    below = int(np.searchsorted(np.cumsum(shares), (1 - level) / 2, side="right"))
    centre = float(np.median(walsh))
    if below == 0:
        return centre, math.nan, math.nan
    return centre, float(walsh[below - 1]), float(walsh[-below])


def skewness(differences: ArrayLike) -> float:
    """Return the sample skewness G1 of (n,) differences; NaN below 3, or if all are equal."""
    differences = np.asarray(differences, dtype=np.float64)
    if len(differences) < 3 or np.ptp(differences) <= ROUNDING * np.abs(differences).max():
        return math.nan
    return float(stats.skew(differences, bias=False))
