"""The mean of one cell, its uncertainty, and what counts as one independent observation.

Seeds are nested in baselines: seed k continues from one trained baseline and shares it with other
seeds. Where the seeds rest on several baselines, results of one baseline are correlated, so that
the baseline is the unit of inference and enters with the mean of its seeds. Where all seeds rest
on one baseline, the seed is the unit, and every statement is conditional on that baseline.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from dmp.errors import DMPError

Array = NDArray[np.float64]

# Sums and differences of a few float64 numbers are off by a few units in the last place.
ROUNDING = 8 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Estimate:
    """A mean over units with its t interval.

    Attributes:
        low, high: limits; NaN with one unit.
        sd: standard deviation between units (n - 1 in the denominator); NaN with one unit.
    """

    mean: float
    low: float
    high: float
    sd: float
    n: int


def mean_interval(
    values: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """Return the mean over units with a t interval, ``mean ± t(n - 1) sd / √n``.

    Args:
        values: (seeds,) one number per seed, in any order.
        clusters: (seeds,) the baseline of each seed. With more than one distinct baseline the
            units are the baselines' means, each with the same weight however many seeds it has.
        level: coverage of the interval.

    Raises:
        DMPError: there is no value, a value is not finite, or lengths differ.
    """
    values = as_values(values, "values")
    units = np.sort(unit_means(values, clusters))
    mean, sd = mean_and_sd(units, np.abs(values).max())
    low, high = t_interval(mean, sd, len(units), level)
    return Estimate(mean, low, high, sd, len(units))


def as_values(values: ArrayLike, name: str) -> Array:
    """Return ``values`` as a finite, non-empty vector of float64.

    Raises:
        DMPError: it is not one.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise DMPError(f"{name} = {array.tolist()} is not a non-empty list of finite numbers")
    return array


def unit_means(values: Array, clusters: ArrayLike | None) -> Array:
    """Return (n,) the units of inference: the values, or the means of several clusters.

    Raises:
        DMPError: there are not as many clusters as values.
    """
    if clusters is None:
        return values
    labels = np.asarray(clusters)
    if labels.shape != values.shape:
        raise DMPError(f"{labels.size} clusters are given for {values.size} values")
    distinct = np.unique(labels)
    if len(distinct) == 1:
        return values
    # Sorting makes the last bit of a mean independent of the order of the rows.
    return np.array([np.sort(values[labels == label]).mean() for label in distinct])


def mean_and_sd(units: Array, magnitude: float) -> tuple[float, float]:
    """Return the mean and the standard deviation of (n,) units.

    Units that differ by no more than the rounding error of numbers as large as ``magnitude`` have
    a standard deviation of exactly 0; that of a single unit is NaN.
    """
    if len(units) == 1:
        return float(units[0]), math.nan
    if np.ptp(units) <= ROUNDING * magnitude:
        # Adding 0.0 turns -0.0 into 0.0: the sign of a zero depends on the order of the units.
        return float(units[0]) + 0.0, 0.0
    return float(units.mean()), float(units.std(ddof=1))


def t_interval(
    mean: float, sd: float, n: int, level: float, df: int | None = None
) -> tuple[float, float]:
    """Return the limits of the t interval: NaN where ``n`` is 1, the point where ``sd`` is 0.

    Args:
        df: the degrees of freedom of ``sd``, if they are not n - 1.
    """
    if n == 1:
        return math.nan, math.nan
    half = special.stdtrit(df or n - 1, (1 + level) / 2) * sd / np.sqrt(n)
    return float(mean - half), float(mean + half)


def line_weights(positions: Array) -> Array:
    """Return (k,) weights w for which Σ w y is the slope of the least-squares line through y."""
    centred = positions - np.mean(positions)
    return centred / np.sum(centred**2)
