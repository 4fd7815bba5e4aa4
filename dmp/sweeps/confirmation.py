"""What the best points of a search are worth, measured with seeds that it has not seen."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.estimates import Estimate, mean_interval
from dmp.statistics.holm import holm
from dmp.statistics.paired import Difference, paired_difference
from dmp.statistics.results import read_csv
from dmp.sweeps.files import CONFIRMED_COLUMNS, SweepFiles
from dmp.sweeps.schema import Sweep


@dataclass(frozen=True)
class Confirmed:
    """One of the best points, or the base.

    Attributes:
        variant: its name.
        searched: what the search measured, a best of many and so biased; None for the base.
        parameters: how many it adds.
        seeds: how many fresh seeds.
        diverged: how many of its runs have diverged; with any, there is no estimate.
        estimate: mean over fresh seeds and its interval.
        difference: to the base, paired by seed; None for the base, and where either diverged.
        p_holm: the t test's p value, corrected for the number of points; NaN without one.

    """

    variant: str
    searched: float | None
    parameters: float
    seeds: int
    diverged: int
    estimate: Estimate | None
    difference: Difference | None
    p_holm: float


def confirm(
    sweep: Sweep, files: SweepFiles, best: list[dict], hashes: dict[tuple[str, int], str]
) -> list[Confirmed]:
    """Return the base and then the best points, as measured with fresh seeds.

    Args:
        sweep: the sweep.
        files: where the numbers lie.
        best: from :func:`dmp.sweeps.trials.best_variants`.
        hashes: of the runs' configurations, by variant and seed.

    Raises:
        DMPError: numbers are missing, or are of another point, seed or configuration.

    """
    base, *points = (
        _read(files, number, variant, hashes)
        for number, variant in enumerate([sweep.base, *(point["variant"] for point in best)])
    )
    metric = sweep.quality
    differences = [_difference(table, base, metric) for table in points]
    adjusted = holm([np.nan if d is None else d.p_t for d in differences])
    found = [_confirmed(base, metric, None, None, np.nan)]
    for table, point, difference, p in zip(points, best, differences, adjusted, strict=True):
        found.append(_confirmed(table, metric, point[metric], difference, p))
    return found


def _read(
    files: SweepFiles, number: int, variant: str, hashes: dict[tuple[str, int], str]
) -> pd.DataFrame:
    path = files.confirmation(number)
    table = read_csv(path, CONFIRMED_COLUMNS)
    found = {(row.variant, row.seed): row.config for row in table.itertuples()}
    wanted = {run: value for run, value in hashes.items() if run[0] == variant}
    if found != wanted:
        raise DMPError(
            f"{path} does not hold '{variant}' with the seeds "
            f"{', '.join(str(seed) for _, seed in sorted(wanted))} as configured now; confirm the "
            f"sweep again"
        )
    return table.sort_values("seed", ignore_index=True)


def _difference(table: pd.DataFrame, base: pd.DataFrame, metric: str) -> Difference | None:
    if table["diverged"].any() or base["diverged"].any():
        return None
    return paired_difference(table[metric], base[metric], list(base["baseline_seed"]))


def _confirmed(
    table: pd.DataFrame,
    metric: str,
    searched: float | None,
    difference: Difference | None,
    p_holm: float,
) -> Confirmed:
    diverged = int(table["diverged"].sum())
    estimate = None
    if not diverged:
        estimate = mean_interval(table[metric], list(table["baseline_seed"]))
    return Confirmed(
        variant=str(table["variant"].iloc[0]),
        searched=searched,
        parameters=float(table["added_parameters"].iloc[0]),
        seeds=len(table),
        diverged=diverged,
        estimate=estimate,
        difference=difference,
        p_holm=float(p_holm),
    )


def confirmed_table(confirmed: list[Confirmed]) -> pd.DataFrame:
    """Return all digits of the estimates, one row per point; the first is the base."""
    rows = []
    for point in confirmed:
        estimate, difference = point.estimate, point.difference
        rows.append(
            {
                "variant": point.variant,
                "searched": point.searched,
                "added_parameters": point.parameters,
                "seeds": point.seeds,
                "diverged": point.diverged,
                "mean": None if estimate is None else estimate.mean,
                "low": None if estimate is None else estimate.low,
                "high": None if estimate is None else estimate.high,
                "difference": None if difference is None else difference.mean,
                "difference_low": None if difference is None else difference.t_low,
                "difference_high": None if difference is None else difference.t_high,
                "p_t": None if difference is None else difference.p_t,
                "p_t_holm": point.p_holm,
            }
        )
    return pd.DataFrame(rows)
