"""Does a new run of the benchmark compute the same numbers as a reference, to the last bit?"""

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.results import ALL_TIMESTEPS

# What names a number, and the variant under which those of a baseline's own training stand.
KEYS = ["task", "variant", "seed", "metric", "iteration", "bin"]
PRETRAINING = "pretraining"
IDENTICAL, ABSENT_HERE, ABSENT_THERE = "identical", "absent here", "not in the reference"
DIFFERS, OTHERWISE = "differs", "measured otherwise"
FIRST = "first to differ"
_RUN = KEYS[:3]


def compare_numbers(here: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Compare every number of a run with that of the reference.

    Args:
        here: ``KEYS``, ``value`` and ``protocol``, one number per row, in the workflow's order.
        reference: the same of the reference, in any order.

    Returns:
        One row per number of either: ``KEYS``, ``reference``, ``here``, and a verdict:
        ``identical``; ``differs``; ``measured otherwise``, by another protocol, whatever the
        values; ``absent here``; ``not in the reference``. The order is that of ``here``, and what
        is absent there comes last.

    Raises:
        DMPError: a number is listed twice, or is not finite.
    """
    for table in (here, reference):
        check_numbers(table)
    ours, theirs = here.set_index(KEYS), reference.set_index(KEYS)
    every = list(dict.fromkeys([*ours.index, *theirs.index]))
    both = pd.MultiIndex.from_tuples(every, names=KEYS)
    a, b = theirs.reindex(both), ours.reindex(both)
    rows = pd.DataFrame({"reference": a["value"].astype(float), "here": b["value"].astype(float)})
    same = rows["reference"].to_numpy() == rows["here"].to_numpy()
    rows["verdict"] = np.select(
        [
            ~rows.index.isin(ours.index),
            ~rows.index.isin(theirs.index),
            a["protocol"].to_numpy() != b["protocol"].to_numpy(),
            same,
        ],
        [ABSENT_HERE, ABSENT_THERE, OTHERWISE, IDENTICAL],
        DIFFERS,
    )
    return rows.reset_index()


def check_numbers(table: pd.DataFrame) -> None:
    """Check that every number is listed once, and is finite.

    Raises:
        DMPError: naming the first that is not.
    """
    twice = table[table.duplicated(KEYS)]
    if len(twice):
        raise DMPError(f"a number is listed twice: {describe(twice.iloc[0])}")
    odd = table[~np.isfinite(table["value"].to_numpy(dtype=float))]
    if len(odd):
        row = odd.iloc[0]
        raise DMPError(f"a number is not finite: {describe(row)} = {row.value}")


def tell_numbers(rows: pd.DataFrame) -> tuple[list[str], bool]:
    """Return what to tell of :func:`compare_numbers`, and whether all numbers are identical."""
    same = rows["verdict"] == IDENTICAL
    lines = [f"numbers: {same.sum():,} of {len(rows):,} of {_runs(rows)} are identical"]
    changed = rows[rows["verdict"].isin([DIFFERS, OTHERWISE])]
    if len(changed):
        a, b = changed["reference"].to_numpy(), changed["here"].to_numpy()
        largest = np.max(np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-300))
        lines.append(
            f"differing: {len(changed):,} of {_runs(changed)}, by up to {largest:.1g} of the value"
        )
        first = changed.iloc[0]
        lines.append(
            f"{FIRST}: {describe(first)} = {float(first.here)!r} here, "
            f"{float(first.reference)!r} in the reference"
        )
        otherwise = (changed["verdict"] == OTHERWISE).sum()
        if otherwise:
            lines.append(
                f"measured by another protocol (settings, classifier or real images): "
                f"{otherwise:,} of the differing numbers"
            )
    for verdict in (ABSENT_HERE, ABSENT_THERE):
        absent = rows[rows["verdict"] == verdict]
        if len(absent):
            lines.append(
                f"{verdict}: {len(absent):,} numbers of {_runs(absent)}, first "
                f"{describe(absent.iloc[0])}"
            )
    return lines, bool(same.all())


def _runs(rows: pd.DataFrame) -> str:
    """Return ``2 baselines and 12 runs``: whose numbers these are."""
    names = rows[_RUN].drop_duplicates()
    baselines = int((names["variant"] == PRETRAINING).sum())
    counts = [(baselines, "baseline"), (len(names) - baselines, "run")]
    return " and ".join(f"{n:,} {name}{'s' * (n > 1)}" for n, name in counts if n)


def describe(row: pd.Series) -> str:
    """Return ``task/variant/seed0: fid``, with iteration and timesteps where they tell more."""
    where = "" if row.bin == ALL_TIMESTEPS else f", timesteps {row.bin}"
    if row.variant == PRETRAINING:
        return f"baseline {row.task}/seed{row.seed}: {row.metric} in its own training"
    return (
        f"{row.task}/{row.variant}/seed{row.seed}: {row.metric} at iteration {row.iteration}{where}"
    )
