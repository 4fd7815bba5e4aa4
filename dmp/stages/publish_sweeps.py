"""Finished sweeps in a scale's reference; no torch."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dmp.errors import DMPError
from dmp.files import atomic_path, check_seal
from dmp.layout import Layout
from dmp.products.sweeps import SweepProducts
from dmp.studies import Plan
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import load_sweep, sweep_names
from dmp.sweeps.schema import Sweep

SWEEPS = "sweeps"


def chosen_sweeps(
    ablations: Path, layout: Layout, scopes: Sequence[str]
) -> tuple[list[str], list[Sweep]]:
    """Return the scopes that are no sweeps, and the sweeps: ``sweeps``, or ``sweeps/<name>``.

    ``sweeps`` are those that have a page, as are they where there is no scope at all.

    Raises:
        DMPError: no such sweep, or none that is finished.
    """
    names = {scope.removeprefix(f"{SWEEPS}/") for scope in scopes if scope.startswith(f"{SWEEPS}/")}
    if not scopes or SWEEPS in scopes:
        there = sweep_names(ablations)
        names |= {name for name in there if SweepFiles(layout, name).confirmed.is_file()}
    if SWEEPS in scopes and not names:
        raise DMPError(f"{layout.root} has no finished sweep; run make sweep")
    rest = [s for s in scopes if s != SWEEPS and not s.startswith(f"{SWEEPS}/")]
    return rest, [load_sweep(ablations, name) for name in sorted(names)]


def keep_sweeps(
    plan: Plan, layout: Layout, sweeps: Sequence[Sweep], old: Path | None, staged: Path
) -> str:
    """Copy the outcome of sweeps to a staged reference, with those that are published already.

    It is every trial, the fresh seeds of the best points, and what they came to; of a scale that
    allows conclusions the page and its figures, too.

    Returns:
        What was kept; empty without sweeps.

    Raises:
        DMPError: a sweep is not at its end as it is configured now, or a file is damaged.
    """
    for sweep in sweeps:
        if not SweepProducts(plan, layout, sweep).page().is_current():
            raise DMPError(
                f"sweep '{sweep.id}' is not finished as it is configured now; run snakemake "
                f"{SweepFiles(layout, sweep.id).pages()[0]}"
            )
        files = SweepFiles(layout, sweep.id)
        found = [files.trials, files.confirmed, *sorted(files.root.glob("confirmation/*.csv"))]
        if plan.scale.conclusive:
            found += [files.root / f"{sweep.id}.md", files.best]
            found += sorted(files.figures.glob("*.png"))
        for path in found:
            check_seal(path)
            with atomic_path(staged / path.relative_to(layout.root)) as temporary:
                shutil.copyfile(path, temporary)
    ids = {sweep.id for sweep in sweeps}
    for folder in () if old is None else sorted((old / SWEEPS).glob("[!.]*")):
        if folder.name not in ids:
            shutil.copytree(folder, staged / SWEEPS / folder.name)
    return f"sweeps: {', '.join(sorted(ids))}" if ids else ""
