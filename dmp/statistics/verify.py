"""Does a new run of the benchmark agree with committed reference results, cell by cell?"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.results import require_columns

IDENTICAL, WITHIN, OUTSIDE, ABSENT = "identical", "within", "outside", "not in both"
LEVEL = 0.95
COLUMNS = ["reference", "low", "high", "here", "n_reference", "n_here", "verdict"]
_NEEDED = {"mean": float, "sd": float, "status": str}


def verify(
    here: pd.DataFrame, reference: pd.DataFrame, keys: list[str], count: str
) -> pd.DataFrame:
    """Compare means of a new run with those of the reference.

    A new mean of m units agrees if it lies in the reference's 95 % prediction interval for such a
    mean, ``mean ± t(n - 1) sd √(1/n + 1/m)``: about one in twenty does not by chance alone.

    Args:
        here: cells or comparisons of one study, as its CSV file has them.
        reference: the same of the reference.
        keys: the columns that name a row.
        count: the column that counts the units.

    Returns:
        One row per row of either: ``keys``, the reference's mean and prediction interval, the mean
        here, both counts, and ``identical`` (to 1e-9 of the value), ``within``, ``outside`` or
        ``not in both``. Rows that neither could measure are left out.

    Raises:
        DMPError: a column is missing.

    """
    for name, table in (("here", here), ("reference", reference)):
        require_columns(table, _NEEDED | dict.fromkeys([*keys, count], str), name)
    both = reference.merge(here, on=keys, how="outer", suffixes=("_reference", "_here"), sort=False)
    rows = []
    for row in both.to_dict("records"):
        a, b = row["mean_reference"], row["mean_here"]
        if pd.isna(a) and pd.isna(b):
            continue
        head = {key: row[key] for key in keys}
        n, m = row[f"{count}_reference"], row[f"{count}_here"]
        low, high = math.nan, math.nan
        if pd.isna(a) or pd.isna(b):
            verdict = ABSENT
        else:
            if n > 1:
                spread = row["sd_reference"] * math.sqrt(1 / n + 1 / m)
                half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * spread
                low, high = a - half, a + half
            verdict = OUTSIDE
            if np.isclose(a, b, rtol=1e-9, atol=0):
                verdict = IDENTICAL
            elif low <= b <= high:
                verdict = WITHIN
        rows.append(head | dict(zip(COLUMNS, (a, low, high, b, n, m, verdict), strict=True)))
    return pd.DataFrame(rows, columns=[*keys, *COLUMNS])


def tolerated(compared: int) -> int:
    """Return how many of so many rows may lie outside by chance (99 % binomial limit at 5 %).

    Rows share seeds, so that they lie outside together more often than independent ones.
    """
    return int(stats.binom.ppf(0.99, compared, 1 - LEVEL)) if compared else 0


def summary(rows: pd.DataFrame) -> dict[str, int]:
    """Return how many rows have each verdict.

    Raises:
        DMPError: there is nothing to compare.

    """
    counts = rows["verdict"].value_counts()
    found = {name: int(counts.get(name, 0)) for name in (IDENTICAL, WITHIN, OUTSIDE, ABSENT)}
    if not sum(found[name] for name in (IDENTICAL, WITHIN, OUTSIDE)):
        raise DMPError("nothing to compare: no row was measured both here and in the reference")
    return found
