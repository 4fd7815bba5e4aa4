"""Correction for many comparisons."""

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.multitest import multipletests

from dmp.statistics.estimates import Array


def holm(p_values: ArrayLike) -> Array:
    """Return (k,) Holm-adjusted p values, which control the family-wise error rate (Holm 1979).

    NaN marks a comparison without a p value: it stays NaN and does not count in the family.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(p_values, np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        adjusted[tested] = multipletests(p_values[tested], method="holm")[1]
    return adjusted
