"""Correction for many comparisons."""

import numpy as np
from numpy.typing import ArrayLike

from dmp.statistics.estimates import Array


def holm(p_values: ArrayLike) -> Array:
    """Return (k,) Holm-adjusted p values, which control the family-wise error rate (Holm 1979).

    The j-th smallest of m is multiplied by m - j + 1, and is at least as large as those before it.
    NaN marks a comparison without a p value: it stays NaN and does not count in the family.

    (statsmodels has it too, at a tenth of a second a call, since it collects garbage each time;
    a test compares the two.)
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(p_values, np.nan)
    order = np.argsort(p_values, kind="stable")[: np.count_nonzero(~np.isnan(p_values))]
    steps = np.arange(len(order), 0, -1) * p_values[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def holm_factors(p_values: ArrayLike, level: float) -> Array:
    """Return (k,) what Holm multiplies each p value by before it is compared with ``level``.

    That is m - j + 1 for the j-th that is rejected, and for all others what the first of them is
    multiplied by: a p value is rejected if and only if it times its factor is at most ``level``.
    Parts of a hypothesis, whose largest p value is that of the whole, are so compared with the
    level that is left to the whole. NaN for NaN.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")[: np.count_nonzero(~np.isnan(p_values))]
    m = len(order)
    rejected = int(np.count_nonzero(holm(p_values)[order] <= level))
    factors = np.full_like(p_values, np.nan)
    factors[order] = np.maximum(m - np.arange(m), m - rejected)
    return factors
