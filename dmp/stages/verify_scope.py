"""Which studies, runs and seeds are both here and in a reference; no torch."""

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
        studies: those that were made here and are in the reference, in both kinds.
        not_run: those of the reference that were not made here.
        unknown: those made here that the reference lacks.
        runs: of the studies and the claims, with seeds that both have.
        baselines: (task, seed) of each baseline of these runs.
        seeds: what there is to say of seeds.

    """

    studies: list[str]
    not_run: list[str]
    unknown: list[str]
    runs: list[tuple[str, str, int]]
    baselines: list[tuple[str, int]]
    seeds: str


def find_scope(plan: Plan, layout: Layout, folder: Path, reference: Origin) -> Scope:
    """Return what can be compared.

    A study was run here if its numbers or its table are here; then all of it must be.

    Args:
        plan: what is run here.
        layout: where it is.
        folder: of the reference.
        reference: what made it.

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
    of_reference = range(reference.first_seed, reference.first_seed + reference.seeds)
    common = [seed for seed in plan.seeds if seed in of_reference]
    if not common:
        raise DMPError(
            f"no seed is both here ({_listed(plan.seeds)}) and in the reference "
            f"({_listed(of_reference)})"
        )
    told = ""
    if not len(common) == len(plan.seeds) == reference.seeds:
        told = (
            f"seeds: {_listed(plan.seeds)} here, {_listed(of_reference)} in the reference; runs "
            f"are compared for {_listed(common)}"
        )
    every = {(t, v, seed) for name in scopes for t, v, seed in plan.runs(name) if seed in common}
    # In the order of the workflow, in which the first difference is nearest to its cause.
    runs = sorted(every, key=lambda run: (run[1] != "baseline", *run))
    baselines = sorted({(task, plan.baseline_seed(seed)) for task, _, seed in runs})
    return Scope(studies, sorted(theirs - made), sorted(made - theirs), runs, baselines, told)


def _listed(seeds: list[int] | range) -> str:
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
