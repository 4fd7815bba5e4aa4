"""What the best points of a search are worth, measured with seeds that it has not seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.estimates import mean_interval
from dmp.statistics.formatting import format_interval
from dmp.statistics.holm import holm
from dmp.statistics.labels import metric_name
from dmp.statistics.paired import ALPHA, paired_difference
from dmp.statistics.results import numbers, read_csv
from dmp.sweeps.files import CONFIRMED_COLUMNS, SweepFiles
from dmp.sweeps.schema import Sweep

# Columns of what :func:`confirm` returns that a variant may have no value of, as the base has none.
_DIFFERENCE = ("difference", "difference_low", "difference_high", "p_t_holm")


def confirm(
    sweep: Sweep,
    files: SweepFiles,
    best: Sequence[tuple[str, list[float]]],
    hashes: Mapping[tuple[str, int], str],
) -> pd.DataFrame:
    """Return the base and then the best points, as measured with fresh seeds, one a row.

    The columns are ``variant``; ``searched``, what the search measured, a best of many and so
    biased; ``added_parameters``; ``seeds``; ``diverged``, how many runs have; ``mean``, ``low`` and
    ``high`` over fresh seeds; ``difference``, ``difference_low`` and ``difference_high`` to the
    base, paired by seed; ``p_t`` of the t test, and ``p_t_holm``, corrected for the number of
    points. What has no value, such as the mean of a point with a diverged run, is NaN.

    Args:
        best: from :func:`dmp.sweeps.trials.best_variants`.
        hashes: of the runs' configurations, by variant and seed.

    Raises:
        DMPError: numbers are missing, or are of another point, seed or configuration.
    """
    points = [(sweep.base, [np.nan] * len(sweep.objectives)), *best]
    tables = [_read(files, rank, variant, hashes) for rank, (variant, _) in enumerate(points)]
    base, quality = tables[0], sweep.quality
    objectives: list[str] = list(sweep.objectives)
    rows = []
    for table, (variant, values) in zip(tables, points, strict=True):
        diverged = int(table["diverged"].sum())
        row = {
            "variant": variant,
            "searched": values[objectives.index(quality)],
            "added_parameters": table["added_parameters"].iloc[0],
            "seeds": len(table),
            "diverged": diverged,
        }
        row |= dict.fromkeys(_ESTIMATES, np.nan)
        if not diverged:
            estimate = mean_interval(table[quality], list(table["baseline_seed"]))
            row |= {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
        if table is not base and not diverged and not base["diverged"].any():
            found = paired_difference(table[quality], base[quality], list(base["baseline_seed"]))
            row |= {"difference": found.mean, "difference_low": found.t_low}
            row |= {"difference_high": found.t_high, "p_t": found.p_t}
        rows.append(row)
    adjusted = holm([row["p_t"] for row in rows[1:]])
    return pd.DataFrame(rows).assign(p_t_holm=[np.nan, *adjusted])


_ESTIMATES = ("mean", "low", "high", "difference", "difference_low", "difference_high", "p_t")


def read_confirmed(path: Path) -> pd.DataFrame:
    """Read what :func:`confirm` returned, as far as its verdict rests on it.

    Raises:
        DMPError: the file is missing or damaged, or lacks a column.
    """
    table = read_csv(path, {"variant": str, "seeds": int, **dict.fromkeys(_DIFFERENCE, str)})
    for name in _DIFFERENCE:
        texts = [text or "nan" for text in table[name]]
        table[name] = numbers(texts, float, lambda k, name=name: f"{path}: line {k + 2}: {name}")
    return table


def verdict(sweep: Sweep, confirmed: pd.DataFrame) -> str:
    """Return whether fresh seeds found any of the best points better than the base.

    The table is that of :func:`confirm`. Better is a lower mean, p below 0.05 after Holm's
    correction for the number of points.
    """
    points = confirmed.iloc[1:].dropna(subset=["difference"])
    if points.empty:
        return "Nothing can be said: the base, or every one of the best points, has diverged."
    better = points[(points["p_t_holm"] < ALPHA) & (points["difference"] < 0)]
    best = (points if better.empty else better).sort_values("difference").iloc[0]
    difference = format_interval(
        best["difference"], best["difference_low"], best["difference_high"]
    )
    told = f"Δ {metric_name(sweep.quality)} {difference} over {best['seeds']} fresh seeds"
    base = confirmed["variant"].iloc[0]
    if better.empty:
        told = f"the best, {best['variant']}, has {told}"
        return f"No point was shown to be better than {base}; {told}."
    return f"{best['variant']} is better than {base}: {told}."


def _read(
    files: SweepFiles, rank: int, variant: str, hashes: Mapping[tuple[str, int], str]
) -> pd.DataFrame:
    path = files.confirmation(rank)
    table = read_csv(path, CONFIRMED_COLUMNS)
    runs = table[["variant", "seed", "config"]].itertuples(index=False, name=None)
    found = {(name, seed): config for name, seed, config in runs}
    wanted = {run: value for run, value in hashes.items() if run[0] == variant}
    if found != wanted:
        raise DMPError(
            f"{path} does not hold '{variant}' with the seeds "
            f"{', '.join(str(seed) for _, seed in sorted(wanted))} as configured now; confirm the "
            f"sweep again"
        )
    return table.sort_values("seed", ignore_index=True)
