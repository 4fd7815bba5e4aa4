"""Does a new run of the benchmark agree with a reference statistically, cell by cell?"""

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.results import require_columns

IDENTICAL, WITHIN, OUTSIDE, ONE_SIDED = "identical", "within", "outside", "measured on one side"
NO_WIDTH, ABSENT_HERE, ABSENT_THERE = "not comparable", "absent here", "not in the reference"
VERDICTS = (IDENTICAL, WITHIN, OUTSIDE, ONE_SIDED, NO_WIDTH, ABSENT_HERE, ABSENT_THERE)
LEVEL = 0.95
# Means that agree to this share of their value are the same; so narrow an interval has no width.
CLOSE = 1e-9
COLUMNS = ["reference", "low", "high", "here", "n_reference", "n_here", "verdict"]
_NEEDED = {"mean": float, "sd": float, "status": str}


def verify(
    here: pd.DataFrame, reference: pd.DataFrame, keys: list[str], count: str
) -> pd.DataFrame:
    """Compare means of a new run with those of the reference.

    A new mean of m units agrees if it lies in the reference's 95 % prediction interval for such a
    mean, ``mean ± t(n - 1) sd √(1/n + 1/m)``: about one in twenty does not by chance alone. With
    one unit, or with units that share all that the mean depends on (one baseline, and its own
    loss), there is no such interval.

    Args:
        here: cells or comparisons of one study, as its CSV file has them.
        reference: the same of the reference.
        keys: the columns that name a row; no two rows have the same.
        count: the column that counts the units.

    Returns:
        One row per row of either: ``keys``, the reference's mean and prediction interval, the mean
        here, both counts, and a verdict: ``identical`` (to 1e-9 of the value), ``within``,
        ``outside``, ``measured on one side`` (such as a run that diverged only here),
        ``not comparable`` (neither identical, nor is there an interval), ``absent here`` or ``not
        in the reference``. Rows that neither could measure are left out.

    Raises:
        DMPError: a column is missing.

    """
    ours, theirs = (
        _by_key(table, keys, count, name)
        for name, table in (("here", here), ("reference", reference))
    )
    rows = []
    for key in dict.fromkeys([*theirs, *ours]):
        a, b = (
            side.get(key, {"mean": math.nan, "sd": math.nan, count: math.nan})
            for side in (theirs, ours)
        )
        low, high = _interval(a["mean"], a["sd"], a[count], b[count])
        if key not in ours:
            verdict = ABSENT_HERE
        elif key not in theirs:
            verdict = ABSENT_THERE
        elif pd.isna(a["mean"]) and pd.isna(b["mean"]):
            continue
        else:
            verdict = _verdict(a["mean"], b["mean"], low, high)
        values = (a["mean"], low, high, b["mean"], a[count], b[count], verdict)
        rows.append(dict(zip([*keys, *COLUMNS], (*key, *values), strict=True)))
    return pd.DataFrame(rows, columns=[*keys, *COLUMNS])


def _by_key(table: pd.DataFrame, keys: list[str], count: str, name: str) -> dict[tuple, Any]:
    require_columns(table, _NEEDED | dict.fromkeys([*keys, count], str), name)
    return {tuple(row[key] for key in keys): row for row in table.to_dict("records")}


def _interval(mean: float, sd: float, n: float, m: float) -> tuple[float, float]:
    """Return the prediction interval for a mean of m units, NaN where it would have no width."""
    if not (n > 1 and m > 0):
        return math.nan, math.nan
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * sd * math.sqrt(1 / n + 1 / m)
    return (mean - half, mean + half) if half > CLOSE * abs(mean) else (math.nan, math.nan)


def _verdict(reference: float, here: float, low: float, high: float) -> str:
    if pd.isna(reference) or pd.isna(here):
        return ONE_SIDED
    if np.isclose(reference, here, rtol=CLOSE, atol=0):
        return IDENTICAL
    if math.isnan(low):
        return NO_WIDTH
    return WITHIN if low <= here <= high else OUTSIDE


def tolerated(compared: int) -> int:
    """Return how many of so many rows may lie outside by chance (99 % binomial limit at 5 %).

    Rows share seeds, so that they lie outside together more often than independent ones.
    """
    return int(stats.binom.ppf(0.99, compared, 1 - LEVEL)) if compared else 0


def summary(rows: pd.DataFrame) -> dict[str, int]:
    """Return how many rows have each verdict."""
    counts = rows["verdict"].value_counts()
    return {name: int(counts.get(name, 0)) for name in VERDICTS}


def tell_statistics(rows: pd.DataFrame) -> tuple[list[str], bool]:
    """Return what to tell of :func:`verify`'s rows, and whether they agree with the reference.

    They agree if no more of them than chance explains lie outside or were measured on one side
    only. Rows without an interval neither agree nor disagree.

    Args:
        rows: of any studies, with ``kind`` too: what a row is, such as ``mean``.

    Raises:
        DMPError: no row can be compared.

    """
    lines, agree, every = [], True, 0
    for kind, group in rows.groupby("kind", sort=False):
        counts = summary(group)
        compared = sum(counts[name] for name in (IDENTICAL, WITHIN, OUTSIDE, ONE_SIDED))
        limit = tolerated(compared)
        every += compared
        agree = agree and counts[OUTSIDE] + counts[ONE_SIDED] <= limit
        lines.append(
            f"{kind}s: {compared} compared: {counts[IDENTICAL]} identical, {counts[WITHIN]} within "
            f"the reference's 95 % prediction interval, {counts[OUTSIDE]} outside and "
            f"{counts[ONE_SIDED]} {ONE_SIDED} only (up to {limit} are expected by chance)"
        )
        if counts[NO_WIDTH]:
            lines.append(
                f"not comparable statistically: {counts[NO_WIDTH]} {kind}s whose interval in the "
                f"reference has no width (one baseline, or one seed)"
            )
    if not every:
        raise DMPError(
            "nothing to compare statistically: no row is measured both here and in the reference "
            "and has an interval there"
        )
    return lines, agree


def tell_identical(rows: pd.DataFrame) -> tuple[list[str], bool]:
    """As :func:`tell_statistics`, where rows of equally many units must be identical."""
    both = rows[~rows["verdict"].isin([ABSENT_HERE, ABSENT_THERE])]
    measured = both[["reference", "here"]].notna().all(axis=1)
    unlike = measured & (both["n_reference"] != both["n_here"])
    compared = both[~unlike]
    differing = compared[compared["verdict"] != IDENTICAL]
    lines = [f"tables: {len(compared) - len(differing):,} of {len(compared):,} rows are identical"]
    if unlike.any():
        lines.append(
            f"tables: {unlike.sum():,} rows not compared, since they are of another number of seeds"
        )
    if len(differing):
        first = differing.iloc[0]
        lines.append(
            f"first row to differ: {_row(first)} = {float(first.here)!r} here, "
            f"{float(first.reference)!r} in the reference"
        )
    return lines, not len(differing)


def tell_absent(rows: pd.DataFrame) -> tuple[list[str], bool]:
    """As :func:`tell_statistics`, of rows that one side lacks; there may be none."""
    absent = {name: rows[rows["verdict"] == name] for name in (ABSENT_HERE, ABSENT_THERE)}
    lines = [
        f"{name}: {len(group):,} rows of tables, first {_row(group.iloc[0])}"
        for name, group in absent.items()
        if len(group)
    ]
    return lines, not lines


def _row(row: pd.Series) -> str:
    against = f" − {row.against}" if row.against else ""
    return f"{row.study}: {row.task}/{row.variant}{against}: {row.metric}"
