"""Which studies, runs and seeds are both here and in a reference; no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.stages.origin import Origin
from dmp.studies import Plan

CLAIMS = "claims"
COMPARISONS = "-comparisons"


class Scope(NamedTuple):
    """What is compared.

    Attributes:
        studies: those that were made here and are in the reference.
        runs: of the studies and the claims, with seeds that both have.
        baselines: (task, seed) of each baseline of these runs.
        notes: what is left out of the comparison.
        part: of how many studies the verdict is, in words; empty if it is of all.

    """

    studies: list[str]
    runs: list[tuple[str, str, int]]
    baselines: list[tuple[str, int]]
    notes: list[str]
    part: str


def find_scope(plan: Plan, layout: Layout, folder: Path, reference: Origin) -> Scope:
    """Return what can be compared with the reference in ``folder``.

    A study was run here if its numbers or its table are here; then all of it must be.

    Raises:
        DMPError: there is nothing to compare.

    """
    tables = {path.stem for path in (folder / "tables").glob("*.csv")}
    theirs = {name for name in tables if not name.endswith(COMPARISONS)}
    if not theirs:
        raise DMPError(
            f"the reference is damaged: {folder / 'tables'} has no table. Restore it with: git "
            f"checkout -- {folder}"
        )
    made = {
        name
        for name in {*plan.studies, *plan.parameter_studies, *theirs}
        if (layout.tables / f"{name}.csv").is_file() or layout.results_table(name).is_file()
    }
    studies = sorted(made & theirs)
    if not studies:
        raise DMPError(f"no table of {layout.tables} is in {folder / 'tables'}; run make tables")
    scopes = [name for name in studies if name in plan.studies]
    if plan.claims is not None and layout.claims.is_file():
        scopes.append(CLAIMS)
    notes = [
        f"{title}: {', '.join(sorted(names))}"
        for title, names in (
            ("not run here", theirs - made),
            ("not in the reference, and not compared", made - theirs),
        )
        if names
    ]
    of_reference = range(reference.first_seed, reference.first_seed + reference.seeds)
    common = [seed for seed in plan.seeds if seed in of_reference]
    both = f"{_listed(plan.seeds)} here, {_listed(of_reference)} in the reference"
    if not common:
        raise DMPError(f"no seed is both here and in the reference: {both}")
    if not len(common) == len(plan.seeds) == reference.seeds:
        notes.append(f"seeds: {both}; runs are compared for {_listed(common)}")
    every = {(t, v, seed) for name in scopes for t, v, seed in plan.runs(name) if seed in common}
    # In the order of the workflow, in which the first difference is nearest to its cause.
    runs = sorted(every, key=lambda run: (run[1] != "baseline", *run))
    baselines = sorted({(task, plan.baseline_seed(seed)) for task, _, seed in runs})
    part = f" (in the {len(studies)} of {len(theirs)} studies that were run here)"
    return Scope(studies, runs, baselines, notes, part if theirs - made else "")


def _listed(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
