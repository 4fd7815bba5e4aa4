"""The numbers of a study's variants as seeds by iterations or timesteps, and what is left out."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.reporting.figures.data import FigureData
from dmp.reporting.labels import metric_name
from dmp.statistics.estimates import mean_interval
from dmp.statistics.results import ALL_TIMESTEPS, DIVERGED, check_results, final_rows

BASELINE = "baseline"


@dataclass(frozen=True)
class Arm:
    """One variant's values of one metric.

    Attributes:
        variant: its canonical name.
        label: what figures call it.
        values: (seeds, keys) with seeds as index and iterations or timesteps as columns, both in
            ascending order.
        clusters: (seeds,) the baseline of each seed.

    """

    variant: str
    label: str
    values: pd.DataFrame
    clusters: pd.Series

    def estimates(self) -> pd.DataFrame:
        """Return (keys,) ``mean``, and ``low`` and ``high`` of its 95 % t interval.

        Units of inference are those of :mod:`dmp.statistics.estimates`; with one unit the limits
        are NaN.
        """
        found = {
            key: mean_interval(self.values[key].to_numpy(), self.clusters.to_numpy())
            for key in self.values
        }
        rows = [(e.mean, e.low, e.high) for e in found.values()]
        return pd.DataFrame(rows, index=list(found), columns=["mean", "low", "high"])

    def minus(self, other: "Arm") -> "Arm":
        """Return the differences, seed by seed, of the seeds that both have.

        Raises:
            DMPError: a seed rests on different baselines in the two.

        """
        seeds = self.values.index.intersection(other.values.index)
        keys = self.values.columns.intersection(other.values.columns)
        clusters = self.clusters[seeds]
        if (clusters != other.clusters[seeds]).any():
            raise DMPError(
                f"seeds of {self.variant} and {other.variant} rest on different baselines; paired "
                f"runs must start from the same one"
            )
        values = self.values.loc[seeds, keys] - other.values.loc[seeds, keys]
        return Arm(self.variant, self.label, values, clusters)


def cells_of(study: Any, task: str) -> tuple[list[Any], list[str]]:
    """Return the cells of a task that are run, and a note on each that is not."""
    cells = [cell for cell in study.cells if cell.task == task]
    notes = [f"{label(cell)} is not run: {cell.not_run}." for cell in cells if cell.not_run]
    return [cell for cell in cells if not cell.not_run], notes


def label(cell: Any) -> str:
    """Return what figures call a cell."""
    return cell.label or cell.variant


def find_arms(
    study: Any,
    data: FigureData,
    task: str,
    metric: str,
    key: Literal["iteration", "timestep", "last"],
    required: bool = True,
) -> tuple[dict[str, Arm], list[str]]:
    """Return the variants of a task by name, and notes on what is left out.

    With ``iteration`` the values are those over all timesteps, at every iteration; with
    ``timestep`` those after the last iteration, at the midpoint of each bin; with ``last`` those
    after the last iteration over all timesteps, in one column. A variant of which one
    seed was not finite is left out: the mean over the others would be that of the lucky ones. A
    seed that lacks some of the values is left out.

    Args:
        study: see :func:`dmp.reporting.figures.registry.write_figures`.
        data: what is drawn.
        task: one task.
        metric: one metric.
        key: what the columns are.
        required: False for a metric that not every variant has; then those without are not noted.

    Raises:
        DMPError: the results are malformed, a number stands there twice, or rows that stand in one
            figure were measured by different protocols.

    """
    check_results(data.results)
    cells, notes = cells_of(study, task)
    names = [cell.variant for cell in cells]
    results = data.results[(data.results["task"] == task) & data.results["variant"].isin(names)]
    rows = results[results["metric"] == metric]
    _one_protocol(rows, f"study {study.id}: task {task}, metric {metric}")
    final = final_rows(results)
    if key == "timestep":
        rows = final[(final["metric"] == metric) & (final["bin"] != ALL_TIMESTEPS)]
        rows = rows.assign(timestep=[midpoint(text) for text in rows["bin"]])
    elif key == "last":
        rows = final[(final["metric"] == metric) & (final["bin"] == ALL_TIMESTEPS)].assign(last=0)
    else:
        rows = rows[rows["bin"] == ALL_TIMESTEPS]
    found: dict[str, Arm] = {}
    for cell in cells:
        runs = final[final["variant"] == cell.variant]
        lost = not_finite(runs)
        own = rows[rows["variant"] == cell.variant]
        if lost:
            notes.append(
                f"{label(cell)} is left out: training was not finite in {len(lost)} of "
                f"{runs['seed'].nunique()} seeds."
            )
        elif own.empty:
            if required:
                notes.append(f"{label(cell)} is left out: it has no {metric_name(metric)}.")
        else:
            arm = _arm(cell, own, key)
            if arm.values.empty:
                notes.append(f"{label(cell)} is left out: no seed has all of its values.")
                continue
            found[cell.variant] = arm
            notes += _remarks(cell, arm, runs, data.seeds)
    return found, notes


def not_finite(runs: pd.DataFrame) -> list[int]:
    """Return the seeds, of final rows of one variant, whose training was not finite."""
    metrics = runs.groupby("seed")["metric"]
    return [int(seed) for seed, own in metrics if set(own) == {DIVERGED}]


def midpoint(text: str) -> float:
    """Return the middle of a bin such as ``0-99``, both ends included.

    Raises:
        DMPError: the text is not a range of timesteps.

    """
    try:
        first, last = (int(end) for end in text.split("-"))
    except ValueError as error:
        raise DMPError(f"bin '{text}' is not a range of timesteps such as 0-99") from error
    return (first + last) / 2


def listed(seeds: list[int]) -> str:
    """Return ``seed 0`` or ``seeds 0, 1``."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _arm(cell: Any, rows: pd.DataFrame, key: str) -> Arm:
    double = rows[rows.duplicated(["seed", key])]
    if len(double):
        row = double.iloc[0]
        raise DMPError(
            f"task {row.task}, variant {row.variant}, metric {row.metric}: seed {row.seed} stands "
            f"twice in the results at {key} {row[key]}; it must stand once"
        )
    values = rows.pivot(index="seed", columns=key, values="value").dropna().astype(np.float64)
    clusters = rows.drop_duplicates("seed").set_index("seed")["baseline_seed"]
    return Arm(cell.variant, label(cell), values, clusters[values.index])


def _remarks(cell: Any, arm: Arm, runs: pd.DataFrame, seeds: list[int]) -> list[str]:
    notes = []
    missing = sorted(set(seeds) - set(arm.values.index))
    if missing:
        notes.append(f"{label(cell)}: {listed(missing)} missing or incomplete.")
    diverged = runs[(runs["metric"] == DIVERGED) & (runs["value"] > 0)]["seed"]
    if len(diverged):
        notes.append(
            f"{label(cell)}: {listed(sorted(int(s) for s in diverged))} diverged, but stayed "
            f"finite, and {'are' if len(diverged) > 1 else 'is'} drawn."
        )
    return notes


def _one_protocol(rows: pd.DataFrame, where: str) -> None:
    """Refuse rows that were not measured in one way; bins hold different numbers of samples."""
    whole = rows[rows["bin"] == ALL_TIMESTEPS]
    for column, kept in (("protocol", rows), ("evaluator", rows), ("samples", whole)):
        found = sorted(map(str, kept[column].unique()))
        if len(found) > 1:
            raise DMPError(
                f"{where}: rows of one figure were measured differently ({column} "
                f"{', '.join(found)}); evaluate all of them by one protocol"
            )
