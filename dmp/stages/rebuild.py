"""All pages and verdicts anew from the numbers of runs, shared among processes; no torch."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dmp.errors import DMPError
from dmp.files import atomic_path, check_seal, write_csv
from dmp.layout import Layout
from dmp.reporting.figures import KINDS
from dmp.stages.claims import judge
from dmp.stages.pages import write_pages
from dmp.stages.reference import COUNTS, TIMES, Reference, outdated
from dmp.studies import Plan
from dmp.studies.plan import CLAIMS

Task = Callable[[], None]


def rebuild(plan: Plan, layout: Layout) -> str:
    """Write the tables and figures of all studies that have numbers, and the claims likewise.

    Returns:
        What was rebuilt, and what was not, since it has no numbers yet.

    Raises:
        DMPError: nothing has numbers, a page cannot be made (the others are, as far as they had
            begun), or a process was killed.
    """
    tasks, without = _tasks(plan, layout)
    if not tasks:
        raise DMPError(f"{layout.root} has no numbers of any study; run make tables")
    _share(tasks)
    told = [f"rebuilt: {len(tasks)} pages in {layout.root}"]
    if without:
        told.append(f"not rebuilt, since their runs have not been gathered: {', '.join(without)}")
    return "\n".join(told)


def rebuild_reference(plan: Plan, reference: Reference) -> str:
    """Write the tables, verdicts and figures of a reference anew from its own numbers.

    Equal numbers give equal bytes. What draws more than numbers is left as it is.

    Returns:
        What was rebuilt, and what was not.

    Raises:
        DMPError: the numbers are damaged or of another configuration than the plan's, or a page
            cannot be made.
    """
    why = outdated(plan, reference.numbers)
    if why:
        raise DMPError(
            f"the numbers in {reference.folder} are not those of {plan.name}'s present "
            f"configuration: {why}"
        )
    with tempfile.TemporaryDirectory() as place:
        layout = Layout(Path(place), plan.name)
        tasks = []
        for name, seeds in reference.seeds.items():
            if name not in plan.judged and name not in plan.studies:
                continue
            with reference.damaged():
                numbers = reference.of(plan, name)
            # As `dmp collect` would.
            write_csv(layout.results_table(name), numbers.results)
            write_csv(layout.baselines_table(name), numbers.baselines)
            own = seeds.of(plan)
            if name in plan.judged:
                alone = reference.single_claims(plan, name)
                more = {claim: each.of(plan).seeds for claim, each in alone.items()}
                tasks.insert(0, partial(judge, own, layout, name, more))
            else:
                tasks.append(partial(write_pages, own, layout, [name], from_numbers=True))
        for name, path in ((COUNTS, layout.parameters_table), (TIMES, layout.speed_table)):
            kept = reference.folder / "numbers" / name
            if kept.is_file():
                with reference.damaged():
                    check_seal(kept)
                shutil.copyfile(kept, path)
        if layout.parameters_table.is_file():
            tasks += [partial(write_pages, plan, layout, [n]) for n in plan.parameter_studies]
        _share(tasks)
        made = kept_files(plan, layout)
        for path in made:
            # An earlier version's reference is given no seals: its files stay as they are.
            sealed = reference.sealed and path.suffix == ".csv"
            kept = reference.folder / path.relative_to(layout.root)
            with atomic_path(kept, sealed) as temporary:
                shutil.copyfile(path, temporary)
    told = [
        f"{len(made)} files of {len(tasks)} pages in {reference.folder} follow from its numbers"
    ]
    left = drawn_from_files(plan, list(reference.seeds)) if plan.scale.conclusive else []
    if left:
        told.append(f"left as they are, since they draw files of runs: {', '.join(left)}")
    return "\n".join(told)


def kept_files(plan: Plan, layout: Layout) -> list[Path]:
    """Return the files that a reference keeps: tables; of a scale with conclusions, pages too."""
    suffixes = (".csv", ".md") if plan.scale.conclusive else (".csv",)
    files = [path for path in sorted(layout.tables.glob("*")) if path.suffix in suffixes]
    if plan.scale.conclusive:
        pages = [layout.verdicts(scope) for scope in plan.judged]
        verdicts = (path for page in pages for path in sorted(page.parent.glob(f"{page.stem}*")))
        files += [path for path in verdicts if path.suffix in suffixes]
        files += sorted((layout.root / "figures").glob("*/*.png"))
    return files


def drawn_from_files(plan: Plan, studies: Sequence[str]) -> list[str]:
    """Return the figures of studies that draw more than numbers, as ``figure5-gate``."""
    return [
        f"{name}-{spec.kind}"
        for name in studies
        if name in plan.studies
        for spec in plan.studies[name].figures
        if KINDS.get(spec.kind, f"study {name}").files
    ]


def _share(tasks: Sequence[Task]) -> None:
    """Do the tasks in as many processes as there are cores; the first should be the longest."""
    with ProcessPoolExecutor(min(len(tasks), _cores())) as pool:
        running = [pool.submit(task) for task in tasks]
        try:
            for done in tqdm(as_completed(running), "rebuilding", len(running), unit="page"):
                done.result()
        except BrokenProcessPool as error:
            raise DMPError(
                "a process that rebuilt pages was killed, perhaps for want of memory; "
                "pages are whole or as they were: start again"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tasks(plan: Plan, layout: Layout) -> tuple[list[Task], list[str]]:
    """Return what can be made, the longest first, and the names of what lacks its numbers."""
    studies = sorted(plan.studies, key=lambda name: -len(plan.studies[name].figures))
    made: dict[str, tuple[list[Path], Task]] = {}
    for scope in plan.judged:
        needed = [layout.results_table(scope)]
        needed += [layout.parameters_table, layout.speed_table] if scope == CLAIMS else []
        made[scope] = needed, partial(judge, plan, layout, scope)
    for name in studies:
        needed = [layout.results_table(name), layout.baselines_table(name)]
        made[name] = needed, partial(write_pages, plan, layout, [name])
    for name in plan.parameter_studies:
        made[name] = [layout.parameters_table], partial(write_pages, plan, layout, [name])
    there = {name: all(path.is_file() for path in needed) for name, (needed, _) in made.items()}
    tasks = [task for name, (_, task) in made.items() if there[name]]
    return tasks, sorted(name for name, found in there.items() if not found)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
