"""From the folders of runs to the one results table; no torch."""

from pathlib import Path

import pandas as pd

from dmp.files import atomic_path
from dmp.layout import Layout
from dmp.products.results import numbers_product
from dmp.stages.gather import gather_baselines, gather_results
from dmp.studies import Plan


def collect_results(plan: Plan, layout: Layout, scope: str) -> None:
    """Write the results table: one row per number, in a fixed order, with what it came from.

    Args:
        plan: says which runs there are.
        layout: where they are.
        scope: whose runs; see :class:`dmp.studies.Plan`.

    Raises:
        DMPError: a run is missing, or its folder holds another configuration.

    """
    _write(gather_results(plan, layout, plan.runs(scope)), layout.results_table(scope))


def collect_baselines(plan: Plan, layout: Layout, scope: str) -> None:
    """Write the convergence of each baseline; arguments as for :func:`collect_results`.

    Raises:
        DMPError: a baseline is missing.

    """
    table = gather_baselines(plan, layout, plan.baselines(scope))
    _write(table, layout.baselines_table(scope))


def collect(plan: Plan, layout: Layout, scope: str) -> None:
    """Write both tables of a scope; arguments and errors as for :func:`collect_results`."""
    collect_results(plan, layout, scope)
    collect_baselines(plan, layout, scope)
    numbers_product(plan, layout, scope).mark_finished()


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
