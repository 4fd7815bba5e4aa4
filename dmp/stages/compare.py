"""A comparison of any runs in the terminal, with the statistics of the tables; no torch."""

import difflib
import re
from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from dmp.config import Variant
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.reporting.page import Page
from dmp.reporting.tables import study_page
from dmp.stages.gather import gather_baselines, gather_results
from dmp.statistics.formatting import MISSING
from dmp.statistics.results import RESULT_COLUMNS
from dmp.statistics.study import cells, comparisons
from dmp.studies import Cell, Comparison, Plan, Study

_RUN = re.compile(r"(?P<task>[^/]+)/(?P<variant>[^/]+?)(?:/seed(?P<seed>\d+))?/?")


def compare(plan: Plan, layout: Layout, names: Sequence[str]) -> str:
    """Return the comparison of the first variant with each other one, as text for a terminal.

    Args:
        plan: how the runs are configured, and which seeds there are.
        layout: where they are.
        names: ``task/variant`` for all seeds of the scale, or ``task/variant/seed0`` for one;
            of one task, and with the same seeds for each variant.

    Raises:
        DMPError: a name is malformed or no run has it, naming the nearest; fewer than two variants,
            of two tasks or with unlike seeds; a run is missing, or was measured differently.

    """
    study, seeds = select(plan, layout, names)
    return render(comparison_page(plan, layout, study, seeds))


def select(plan: Plan, layout: Layout, names: Sequence[str]) -> tuple[Study, list[int]]:
    """Return a study that compares the first named variant with each other one, and its seeds.

    Arguments and errors as for :func:`compare`, as far as they concern names.
    """
    chosen: dict[tuple[str, str], set[int]] = {}
    for name in names:
        task, variant, seed = _parse(plan, layout, name)
        seeds = set(plan.seeds) if seed is None else {seed}
        if seeds & chosen.setdefault((task, variant), set()):
            raise DMPError(f"'{name}' is named twice; name each run once")
        chosen[task, variant] |= seeds
    if len(chosen) < 2:
        raise DMPError("a comparison needs at least two variants; name another run")
    (task, first), *others = chosen
    for other, variant in others:
        if other != task:
            raise DMPError(
                f"'{other}/{variant}' and '{task}/{first}' are runs of two tasks, which have "
                f"nothing in common to be compared in; name runs of one task"
            )
        if chosen[other, variant] != chosen[task, first]:
            raise DMPError(
                f"'{task}/{first}' has seeds {_listed(chosen[task, first])} and "
                f"'{other}/{variant}' {_listed(chosen[other, variant])}; differences are paired "
                f"by seed, so name the same seeds of each"
            )
    study = Study(
        id="compare",
        title=f"{task}: {first} against {', '.join(variant for _, variant in others)}",
        cells=[
            Cell(task=task, variant=v, label=v, unmeasured=plan.scale.tasks[task].unmeasured)
            for _, v in chosen
        ],
        comparisons=[Comparison(task=task, variant=first, against=v) for _, v in others],
    )
    return study, sorted(chosen[task, first])


def comparison_page(plan: Plan, layout: Layout, study: Study, seeds: Sequence[int]) -> Page:
    """Return the page of a study from the folders of its runs.

    Raises:
        DMPError: a run is missing, or was measured differently.

    """
    runs = [(cell.task, cell.variant, seed) for cell in study.cells for seed in seeds]
    types = {name: kind for name, kind in RESULT_COLUMNS.items() if kind is not str}
    results = gather_results(plan, layout, runs).astype(types)
    rest_on = sorted({(task, plan.baseline_seed(seed)) for task, _, seed in runs})
    return study_page(
        study,
        plan.scale,
        cells(results, study),
        comparisons(results, study),
        gather_baselines(plan, layout, rest_on),
    )


def render(page: Page) -> str:
    """Return a page as plain text, without columns in which nothing stands."""
    parts = [page.title, *([page.warning] if page.warning else [])]
    for table in page.tables:
        # The task stands in the title.
        frame = table.frame.drop(columns="Task")
        empty = [name for name in frame.columns if (frame[name] == MISSING).all()]
        parts.append(f"{table.caption}\n\n{_text(frame.drop(columns=empty))}")
    parts.append("\n".join(f"- {note}" for note in page.notes))
    return "\n\n".join(parts)


def _text(frame: pd.DataFrame) -> str:
    return tabulate(
        frame.to_numpy().tolist(),
        headers=[name.replace(", ", ",\n") for name in frame.columns],
        # Without it a printed 6.80 would come out as 6.8.
        disable_numparse=True,
        colalign=["left" if name in _WORDS else "right" for name in frame.columns],
    )


_WORDS = ("Method", "Comparison", "Metric")


def _parse(plan: Plan, layout: Layout, name: str) -> tuple[str, str, int | None]:
    """Return task, canonical variant and seed of a run that there is, or is to be."""
    match = _RUN.fullmatch(name)
    if match is None:
        raise DMPError(
            f"'{name}' is no run; accepted are task/variant for all seeds, and task/variant/seed0"
        )
    task, text, seed = match["task"], match["variant"], match["seed"]
    known = _known(plan, layout)
    try:
        variant = Variant.parse(text).name
    except DMPError as error:
        raise DMPError(f"{error}; {_nearest(f'{task}/{text}', known)}") from error
    if f"{task}/{variant}" not in known:
        raise DMPError(f"there is no run '{name}': {_nearest(f'{task}/{variant}', known)}")
    wanted = plan.seeds if seed is None else [int(seed)]
    missing = {s for s in wanted if not layout.metrics(task, variant, s).is_file()}
    if missing:
        folders = (layout.root / "runs" / task / variant).glob("seed*/metrics.csv")
        there = {int(path.parent.name.removeprefix("seed")) for path in folders}
        raise DMPError(
            f"'{name}': {task}/{variant} has not been run with seeds {_listed(missing)}, but with "
            f"{_listed(there) or 'none'}; name one that it has, or run it: "
            f"dmp run {task} '{variant}' --seed {min(missing)}"
        )
    return task, variant, None if seed is None else int(seed)


def _known(plan: Plan, layout: Layout) -> list[str]:
    """Return ``task/variant`` of all that the studies name, and of all that has been run."""
    names = {f"{task}/{variant}" for task, variant in plan.variants()}
    found = (layout.root / "runs").glob("*/*/seed*/metrics.csv")
    return sorted(names | {"/".join(path.parts[-4:-2]) for path in found})


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0)
    hint = f"the nearest is '{close[0]}'" if close else "nothing has been run"
    return f"{hint}; `dmp run` runs any variant of a task"


def _listed(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
