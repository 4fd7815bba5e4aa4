"""Which studies, runs and seeds are both here and in a reference; no torch."""

from pathlib import Path
from typing import NamedTuple

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.products.results import PAGE_SUFFIXES
from dmp.stages.numbers import Run
from dmp.stages.origin import Seeds, seeds_of
from dmp.stages.reference import COMPARISONS, Reference
from dmp.studies import Plan


class Scope(NamedTuple):
    """What is compared.

    Attributes:
        common: of each study of runs that was made here and is in the reference, and of the claims
            and hypotheses, the seeds that both have.
        judged: which of these are claims and hypotheses.
        counted: the studies of parameters that both have.
        runs: of those studies, with those seeds, in the order of the workflow.
        baselines: (task, seed) of each baseline of these runs.
        notes: what is left out of the comparison.
        part: of how many studies the verdict is, in words; empty if it is of all.
    """

    common: dict[str, Seeds]
    judged: list[str]
    counted: list[str]
    runs: list[Run]
    baselines: list[tuple[str, int]]
    notes: list[str]
    part: str

    @property
    def studies(self) -> list[str]:
        """The studies of runs."""
        return [name for name in self.common if name not in self.judged]


def find_scope(plan: Plan, layout: Layout, reference: Reference) -> Scope:
    """Return what can be compared with a reference.

    A study was run here if its numbers, its page or the record of it are here; then all of it must
    be. So it is with the claims and hypotheses.

    Raises:
        DMPError: there is nothing to compare.
    """
    folder = reference.folder / "tables"
    tables = {path.stem for path in folder.glob("*.csv")}
    theirs = {name for name in tables if not name.endswith(COMPARISONS)}
    if not theirs:
        raise DMPError(
            f"the reference is damaged: {folder} has no table. Restore it with: git checkout -- "
            f"{reference.folder}"
        )
    made = {
        name
        for name in {*plan.studies, *plan.parameter_studies, *theirs}
        if _is_made(layout, name, layout.tables, f"page/{name}")
    }
    both = sorted(made & theirs)
    if not both:
        raise DMPError(f"no table of {layout.tables} is in {folder}; run make tables")
    notes = [
        f"{title}: {', '.join(sorted(names))}"
        for title, names in (
            ("not run here", theirs - made),
            ("not in the reference, and not compared", made - theirs),
        )
        if names
    ]
    asked = [name for name in both if name in plan.studies and name in reference.seeds]
    verdicts = [
        scope
        for scope in plan.judged
        if scope in reference.seeds and _is_made(layout, scope, layout.root, scope)
    ]
    asked += verdicts
    ours = seeds_of(plan)
    found = {name: ours.common(reference.seeds[name]) for name in asked}
    common = {name: seeds for name, seeds in found.items() if seeds is not None}
    notes += _of_seeds(ours, {name: reference.seeds[name] for name in asked})
    if asked and not common:
        raise DMPError(f"no seed is both here and in the reference: {notes[-1]}")
    # Single claims have no page of their own: their runs alone are compared.
    alone = {
        name: seeds
        for name in plan.judged_one_by_one
        if name in reference.seeds and layout.results_table(name).is_file()
        if (seeds := ours.common(reference.seeds[name])) is not None
    }
    compared = [(name, seeds.of(plan)) for name, seeds in (common | alone).items()]
    every = {run for name, own in compared for run in own.runs(name)}
    # In the order of the workflow, in which the first difference is nearest to its cause.
    runs = sorted(every, key=lambda run: (run[1] != "baseline", *run))
    trained = {each for name, own in compared for each in own.baselines(name)}
    part = f" (in the {len(both)} of {len(theirs)} studies that were run here)"
    return Scope(
        common,
        [scope for scope in verdicts if scope in common],
        [name for name in both if name in plan.parameter_studies],
        runs,
        sorted(trained),
        notes,
        part if theirs - made else "",
    )


def _is_made(layout: Layout, name: str, pages: Path, record: str) -> bool:
    """Return whether a study's or the claims' numbers, page or record are here."""
    files = [pages / f"{name}{suffix}" for suffix in PAGE_SUFFIXES]
    files += [layout.results_table(name), layout.record(record)]
    return any(path.is_file() for path in files)


def _of_seeds(ours: Seeds, theirs: dict[str, Seeds]) -> list[str]:
    """Return whose seeds are not those here."""
    unlike: dict[Seeds, list[str]] = {}
    for name, seeds in theirs.items():
        if seeds != ours:
            unlike.setdefault(seeds, []).append(name)
    return [
        f"seeds: {ours} here, {seeds} in the reference of {', '.join(names)}; bits are compared "
        f"for {ours.common(seeds) or 'none'}"
        for seeds, names in unlike.items()
    ]
