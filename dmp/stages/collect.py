"""From the folders of runs and baselines to one table of numbers each; no torch."""

from collections.abc import Sequence

import pandas as pd
from pydantic import BaseModel, Field

from dmp.config import from_data
from dmp.errors import DMPError
from dmp.files import read_json, write_csv
from dmp.layout import Layout
from dmp.products.results import numbers_product
from dmp.statistics.results import BASELINE_COLUMNS
from dmp.studies import Plan


def collect(plan: Plan, layout: Layout, scope: str) -> None:
    """Write the numbers of a scope's runs, and the convergence of the baselines they rest on.

    Args:
        plan: says which runs there are.
        layout: where they are.
        scope: whose runs; see :class:`dmp.studies.Plan`.

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
    """
    parts = []
    for task, variant, seed in runs:
        path = layout.metrics(task, variant, seed)
        if not path.is_file():
            raise DMPError(f"{path} does not exist: the run {task}/{variant}/seed{seed} is missing")
        metrics = pd.read_csv(path, dtype=str)
        config = read_json(path.parent / "config.json")
        expected = plan.run(task, variant, seed).hash
        if config["hash"] != expected:
            raise DMPError(
                f"{path} belongs to another configuration ({config['hash']}, not {expected}); "
                f"run the workflow again"
            )
        provenance = read_json(path.parent / "provenance.json")
        head = {"task": task, "variant": variant, "seed": seed}
        head["baseline_seed"] = config["baseline_seed"]
        for position, (name, value) in enumerate(head.items()):
            metrics.insert(position, name, value)
        metrics["commit"] = provenance["commit"] + ("-dirty" if provenance["dirty"] else "")
        metrics["config"] = config["hash"]
        parts.append(metrics)
    return pd.concat(parts, ignore_index=True)


class _Convergence(BaseModel):
    """What is gathered of a baseline's ``convergence.json``."""

    fids: list[float] = Field(min_length=1)
    relative_change: float
    p_value: float
    iterations: list[int] = Field(min_length=1)


class _Record(BaseModel):
    """What is gathered of a baseline's ``provenance.json``."""

    commit: str


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
        path = layout.convergence(task, seed)
        verdict = from_data(_Convergence, read_json(path), str(path))
        tolerance = plan.scale.tasks[task].pretraining.convergence_tolerance
        path = layout.pretrained(task, seed) / "provenance.json"
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
                "commit": from_data(_Record, read_json(path), str(path)).commit,
            }
        )
    return pd.DataFrame(rows, columns=list(BASELINE_COLUMNS))
