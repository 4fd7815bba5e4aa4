"""Every number of some runs and of their baselines, as a long table, and as files of a reference.

A number is named by ``KEYS``. Those of a baseline's own training have the variant ``pretraining``
and the baseline's seed. A reference keeps them in two files: ``runs.csv``, where a row is a metric
of a run at an iteration and has a column for each range of timesteps, and ``baselines.csv``.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.stages.collect import gather_baselines
from dmp.statistics.bits import KEYS, PRETRAINING
from dmp.statistics.results import ALL_TIMESTEPS, BASELINE_COLUMNS, number, read_csv
from dmp.studies import Plan

RUNS, BASELINES = "runs.csv", "baselines.csv"
_METRIC = {
    "metric": str, "iteration": int, "bin": str, "value": float, "protocol": str,
}  # fmt: skip
_ROW = {
    "task": str, "variant": str, "seed": int, "metric": str, "iteration": int, "protocol": str,
}  # fmt: skip
# Without the commit, which stands in the provenance. The FID comes first: it is the first to show
# that another baseline was trained.
_BASELINE = {name: BASELINE_COLUMNS[name] for name in ("task", "baseline_seed", "fid_last")}
_BASELINE |= {name: kind for name, kind in BASELINE_COLUMNS.items() if name != "commit"}


def numbers_of_runs(layout: Layout, runs: Sequence[tuple[str, str, int]]) -> pd.DataFrame:
    """Return the numbers of runs, in their order; a run that has none yet is left out.

    Raises:
        DMPError: a file of metrics is damaged.

    """
    parts = []
    for task, variant, seed in runs:
        path = layout.metrics(task, variant, seed)
        if path.is_file():
            table = read_csv(path, _METRIC)
            parts.append(table.assign(task=task, variant=variant, seed=seed))
    return _long(parts)


def numbers_of_baselines(
    plan: Plan, layout: Layout, baselines: Sequence[tuple[str, int]]
) -> pd.DataFrame:
    """As :func:`numbers_of_runs`, for the convergence of baselines, given as (task, seed)."""
    there = [baseline for baseline in baselines if layout.convergence(*baseline).is_file()]
    return _melted(gather_baselines(plan, layout, there)) if there else _long([])


def write_numbers(results: pd.DataFrame, baselines: pd.DataFrame, folder: Path) -> None:
    """Write the files of a reference from the two tables of :mod:`dmp.stages.collect`.

    Raises:
        DMPError: a number is there twice, or a file cannot be written.

    """
    twice = results[results.duplicated(KEYS)]
    if len(twice):
        row = twice.iloc[0]
        raise DMPError(
            f"{row.metric} of {row.task}/{row.variant}/seed{row.seed} is there twice at iteration "
            f"{row.iteration}, timesteps {row.bin}; run the workflow again"
        )
    names = list(_ROW)
    bins = sorted(set(results["bin"]) - {ALL_TIMESTEPS}, key=lambda name: int(name.split("-")[0]))
    order = pd.MultiIndex.from_frame(results[names].drop_duplicates())
    wide = results.pivot(index=names, columns="bin", values="value").reindex(order)
    wide = wide.reindex(columns=[ALL_TIMESTEPS, *bins]).reset_index()
    for name, table in ((RUNS, wide), (BASELINES, baselines[list(_BASELINE)])):
        write_csv(folder / name, table)


def read_numbers(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the numbers of a reference: of its runs, and of its baselines.

    Raises:
        DMPError: a file is missing or damaged.

    """
    path = folder / RUNS
    wide = read_csv(path, _ROW)
    bins = [name for name in wide.columns if name not in _ROW]
    wide["line"] = range(2, len(wide) + 2)
    long = wide.melt([*_ROW, "line"], bins, var_name="bin").sort_values("line", kind="stable")
    long = long[long["value"] != ""]
    long["value"] = [
        number(text, float, f"{path}: line {line}: {where}")
        for text, line, where in zip(long["value"], long["line"], long["bin"], strict=True)
    ]
    return _long([long]), _melted(read_csv(folder / BASELINES, _BASELINE))


def _melted(baselines: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of baselines as a long table."""
    names = [name for name in _BASELINE if name not in ("task", "baseline_seed")]
    baselines = baselines.astype(dict.fromkeys(names, float)).rename_axis("row").reset_index()
    long = baselines.melt(["row", "task", "baseline_seed"], names, var_name="metric")
    long = long.sort_values("row", kind="stable").rename(columns={"baseline_seed": "seed"})
    fixed = {"iteration": 0, "bin": ALL_TIMESTEPS, "protocol": ""}
    return _long([long.assign(variant=PRETRAINING, **fixed)])


def _long(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = [*KEYS, "value", "protocol"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]
