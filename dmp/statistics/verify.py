"""Does a new run of the benchmark agree with a reference statistically, cell by cell?"""

import numpy as np
import pandas as pd
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.results import require_columns

IDENTICAL, WITHIN, OUTSIDE, ONE_SIDED = "identical", "within", "outside", "measured on one side"
NO_WIDTH, ABSENT_HERE, ABSENT_THERE = "not comparable", "absent here", "not in the reference"
LEVEL = 0.95
# Means that agree to this share of their value are the same; so narrow an interval has no width.
CLOSE = 1e-9
COLUMNS = ["reference", "low", "high", "here", "n_reference", "n_here", "verdict"]


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
    for table, name in ((here, "here"), (reference, "reference")):
        require_columns(table, [*keys, "mean", "sd", count], name)
    ours, theirs = here.set_index(keys), reference.set_index(keys)
    every = list(dict.fromkeys([*theirs.index, *ours.index]))
    index = pd.MultiIndex.from_tuples(every, names=keys)
    a, b = (side.reindex(index)[["mean", "sd", count]].astype(float) for side in (theirs, ours))
    n, m = a[count], b[count]
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * a["sd"] * np.sqrt(1 / n + 1 / m)
    half = half.where((n > 1) & (m > 0) & (half > CLOSE * a["mean"].abs()))
    low, high = a["mean"] - half, a["mean"] + half
    neither = a["mean"].isna() & b["mean"].isna()
    verdict = {
        ABSENT_HERE: ~index.isin(ours.index),
        ABSENT_THERE: ~index.isin(theirs.index),
        ONE_SIDED: a["mean"].isna() | b["mean"].isna(),
        IDENTICAL: np.isclose(a["mean"], b["mean"], rtol=CLOSE, atol=0),
        NO_WIDTH: half.isna(),
        WITHIN: b["mean"].between(low, high),
    }
    chosen = np.select(list(verdict.values()), list(verdict), OUTSIDE)
    values = (a["mean"], low, high, b["mean"], n, m, chosen)
    rows = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)), index=index)
    return rows[~neither | np.isin(chosen, [ABSENT_HERE, ABSENT_THERE])].reset_index()


def tolerated(compared: int) -> int:
    """Return how many of so many rows may lie outside by chance (99 % binomial limit at 5 %).

    Rows share seeds, so that they lie outside together more often than independent ones.
    """
    return int(stats.binom.ppf(0.99, compared, 1 - LEVEL)) if compared else 0


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
        counts = group["verdict"].value_counts()
        same, near, far, lone, unknown = (
            int(counts.get(name, 0)) for name in (IDENTICAL, WITHIN, OUTSIDE, ONE_SIDED, NO_WIDTH)
        )
        compared = same + near + far + lone
        limit = tolerated(compared)
        every += compared
        agree = agree and far + lone <= limit
        lines.append(
            f"{kind}s: {compared} compared: {same} identical, {near} within the reference's 95 % "
            f"prediction interval, {far} outside and {lone} {ONE_SIDED} only (up to {limit} are "
            f"expected by chance)"
        )
        if unknown:
            lines.append(
                f"not comparable statistically: {unknown} {kind}s whose interval in the reference "
                f"has no width (one baseline, or one seed)"
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
