"""From the folders of runs to the one results table; no torch."""

from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import atomic_path, read_json
from dmp.layout import Layout
from dmp.studies import Plan


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def collect_results(plan: Plan, layout: Layout, scope: str) -> None:
    """Write the results table: one row per number, in a fixed order, with what it came from.

    Args:
        plan: says which runs there are.
        layout: where they are.
        scope: whose runs; see :class:`dmp.studies.Plan`.

    Raises:
        DMPError: a run is missing, or its folder holds another configuration.

    """
    parts = []
    for task, variant, seed in plan.runs(scope):
        path = layout.metrics(task, variant, seed)
        if not path.is_file():
            raise DMPError(f"{path} does not exist: the run {task}/{variant}/seed{seed} is missing")
        # Values stay text: reading and writing floats could change their last digit.
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
    _write(pd.concat(parts, ignore_index=True), layout.results_table(scope))


def collect_baselines(plan: Plan, layout: Layout, scope: str) -> None:
    """Write the convergence of each baseline; arguments as for :func:`collect_results`.

    Raises:
        DMPError: a baseline is missing.

    """
    rows = []
    for task, seed in plan.baselines(scope):
        verdict = read_json(layout.convergence(task, seed))
        provenance = read_json(layout.pretrained(task, seed) / "provenance.json")
        rows.append(
            {
                "task": task,
                "baseline_seed": seed,
                "converged": verdict["converged"],
                "fid_last": verdict["fids"][-1],
                "relative_change": verdict["relative_change"],
                "p_value": verdict["p_value"],
                "iterations": verdict["iterations"][-1],
                "commit": provenance["commit"],
            }
        )
    _write(pd.DataFrame(rows), layout.baselines_table(scope))
