"""From the folders of runs and baselines to one table of numbers each; no torch."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, Field

from dmp.config import from_file
from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.products.product import read_record
from dmp.products.results import numbers_product
from dmp.statistics.results import BASELINE_COLUMNS, RESULT_COLUMNS
from dmp.studies import Plan
from dmp.tablefile import read_rows

# What stands in a run's own file.
_MEASURED = [
    name
    for name in RESULT_COLUMNS
    if name not in ("task", "variant", "seed", "baseline_seed", "commit", "config")
]


def collect(plan: Plan, layout: Layout, scope: str) -> None:
    """Write the numbers of a scope's runs, and the convergence of the baselines they rest on.

    Raises:
        DMPError: a run or a baseline is missing, or a run is of another configuration.
    """
    results = gather_results(plan, layout, plan.runs(scope))
    baselines = gather_baselines(plan, layout, plan.baselines(scope))
    write_csv(layout.results_table(scope), results)
    write_csv(layout.baselines_table(scope), baselines)
    numbers_product(plan, layout, scope).mark_finished()


def gather_results(
    plan: Plan, layout: Layout, runs: Sequence[tuple[str, str, int]]
) -> pd.DataFrame:
    """Return one row per number of some runs, in a fixed order, with what it came from.

    Values stay text: reading and writing floats could change their last digit.

    Raises:
        DMPError: a run is missing, damaged or of another configuration.
    """
    rows: list[list] = []
    for task, variant, seed in runs:
        path = layout.metrics(task, variant, seed)
        if not path.is_file():
            raise DMPError(f"{path} does not exist: the run {task}/{variant}/seed{seed} is missing")
        found = run_rows(layout, task, variant, seed)
        expected = plan.run(task, variant, seed).hash
        if found and found[0][-1] != expected:
            raise DMPError(
                f"{path} belongs to another configuration ({found[0][-1]}, not {expected}); "
                f"run the workflow again"
            )
        _check_whole(path, layout.record("metrics", path.parent))
        rows += found
    return pd.DataFrame(rows, columns=list(RESULT_COLUMNS))


def _check_whole(path: Path, record: Path) -> None:
    """Refuse a file of another size than its record says: one that was cut, or edited."""
    made = read_record(record)
    expected = None if made is None else made.sizes.get(path.name)
    if expected not in (None, found := path.stat().st_size):
        raise DMPError(
            f"{path} has {found:,} bytes and had {expected:,} when it was made: it was cut or "
            f"edited; run the workflow again"
        )


def run_rows(layout: Layout, task: str, variant: str, seed: int) -> list[list]:
    """Return the numbers of one run, as rows of ``RESULT_COLUMNS``; what its file says stays text.

    Raises:
        DMPError: a file of the run is missing or damaged.
    """
    path = layout.metrics(task, variant, seed)
    config = from_file(KeptConfig, path.parent / "config.json")
    made = from_file(_Record, path.parent / "provenance.json")
    head = [task, variant, seed, config.baseline_seed]
    tail = [made.commit + ("-dirty" if made.dirty else ""), config.hash]
    return [[*head, *row, *tail] for row in _metrics(path)]


def _metrics(path: Path) -> list[list[str]]:
    """Return the rows of a run's metrics; pandas takes milliseconds for each file."""
    header, lines = read_rows(path)
    lacking = [name for name in _MEASURED if name not in header]
    if lacking:
        raise DMPError(f"{path} lacks the columns {', '.join(lacking)}; run the workflow again")
    places = [header.index(name) for name in _MEASURED]
    return [[line[place] for place in places] for line in lines]


class KeptConfig(BaseModel, strict=True):
    """What is gathered of a run's ``config.json``."""

    hash: str
    baseline_seed: int


class _Convergence(BaseModel, strict=True):
    """What is gathered of a baseline's ``convergence.json``."""

    fids: list[float] = Field(min_length=1)
    relative_change: float
    p_value: float
    iterations: list[int] = Field(min_length=1)


class _Record(BaseModel, strict=True):
    """What is gathered of a ``provenance.json``."""

    commit: str
    dirty: bool | None = False


def gather_baselines(
    plan: Plan, layout: Layout, baselines: Sequence[tuple[str, int]]
) -> pd.DataFrame:
    """Return the convergence of each (task, seed), judged by the scale's present tolerance.

    Those that have decayed siblings are left out: the numbers of runs say what these gain.
    """
    rows = []
    for task, seed in baselines:
        if plan.has_decayed(task):
            continue
        verdict = from_file(_Convergence, layout.convergence(task, seed))
        tolerance = plan.scale.tasks[task].pretraining.convergence_tolerance
        made = from_file(_Record, layout.pretrained(task, seed) / "provenance.json")
        rows.append(
            {
                "task": task,
                "baseline_seed": seed,
                # As dmp.statistics.convergence judges.
                "converged": -verdict.relative_change <= tolerance,
                "fid_last": verdict.fids[-1],
                "relative_change": verdict.relative_change,
                "p_value": verdict.p_value,
                "iterations": verdict.iterations[-1],
                "commit": made.commit,
            }
        )
    # Without rows it has the types of its columns all the same.
    types = {name: kind for name, kind in BASELINE_COLUMNS.items() if kind is not str}
    return pd.DataFrame(rows, columns=list(BASELINE_COLUMNS)).astype(types)
