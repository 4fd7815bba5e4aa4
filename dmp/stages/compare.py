"""A comparison of any runs in the terminal, with the statistics of the tables; no torch."""

import re
import textwrap
from collections.abc import Iterator, Sequence

import pandas as pd
from tabulate import tabulate

from dmp.config import did_you_mean
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.methods import Variant
from dmp.metrics.registry import unmeasured
from dmp.reporting.page import Page
from dmp.reporting.tables import study_page
from dmp.stages.collect import gather_baselines, gather_results
from dmp.statistics.formatting import MISSING
from dmp.statistics.results import RESULT_COLUMNS
from dmp.statistics.study import cells, comparisons
from dmp.studies import Cell, Comparison, Plan, Study
from dmp.studies.schema import METRICS

_RUN = re.compile(r"(?P<task>[^/]+)/(?P<variant>[^/]+?)(?:/seed(?P<seed>\d+))?/?")
_WORDS = ("Method", "Comparison", "Metric")
WIDTH = 100  # of the text, in characters
_ANY = "`dmp run` runs any variant of a task"


def compare(plan: Plan, layout: Layout, names: Sequence[str]) -> str:
    """Return the comparison of the first variant with each other one, as text for a terminal.

    No line is longer than 100 characters: a table that is wider continues below.

    Args:
        names: ``task/variant`` for all seeds of the scale, or ``task/variant/seed0`` for one;
            of one task, and with the same seeds for each variant.

    Raises:
        DMPError: a name is malformed or no run has it, naming the nearest; fewer than two variants,
            of two tasks or with unlike seeds; a run is missing, or was measured differently.
    """
    page = comparison_page(plan, layout, *select(plan, layout, names))
    parts = [_filled(text) for text in (page.title, page.warning) if text]
    for table in page.tables:
        frame = table.frame.drop(columns="Task")  # which stands in the title
        empty = [name for name in frame.columns if (frame[name] == MISSING).all()]
        parts += [_filled(table.caption), *_bands(frame.drop(columns=empty))]
    parts.append("\n".join(_filled(f"- {note}", "  ") for note in page.notes))
    return "\n\n".join(parts)


def select(plan: Plan, layout: Layout, names: Sequence[str]) -> tuple[Study, list[int]]:
    """Return a study that compares the first named variant with each other one, and its seeds.

    Arguments and errors as for :func:`compare`, as far as they concern names.
    """
    chosen: dict[tuple[str, str], set[int]] = {}
    for name in names:
        task, variant, seeds = _find(plan, layout, name)
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
    absent = unmeasured(plan.scale.tasks[task], METRICS)
    study = Study(
        id="compare",
        title=f"{task}: {first} against {', '.join(variant for _, variant in others)}",
        cells=[Cell(task=task, variant=v, label=v, unmeasured=absent) for _, v in chosen],
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


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _bands(frame: pd.DataFrame) -> Iterator[str]:
    """Yield a table as text: as many columns as fit, then the next ones, each beside the words."""
    words = [name for name in frame.columns if name in _WORDS]
    band, shown = [], _text(frame[words])
    for name in frame.columns.drop(words):
        wider = _text(frame[[*words, *band, name]])
        if band and max(map(len, wider.splitlines())) > WIDTH:
            yield shown
            band, wider = [], _text(frame[[*words, name]])
        band, shown = [*band, name], wider
    yield shown


def _text(frame: pd.DataFrame) -> str:
    words = [name in _WORDS for name in frame.columns]
    return tabulate(
        frame.to_numpy().tolist(),
        headers=["\n".join(textwrap.wrap(name, 12)) for name in frame.columns],
        disable_numparse=True,  # a printed 6.80 would come out as 6.8
        colalign=["left" if word else "right" for word in words],
        # A variant's name is as long as its options are many.
        maxcolwidths=[28 if word else None for word in words],
    )


def _find(plan: Plan, layout: Layout, name: str) -> tuple[str, str, set[int]]:
    """Return task, canonical variant and seeds of runs that there are."""
    match = _RUN.fullmatch(name)
    if match is None:
        raise DMPError(
            f"'{name}' is not a run; accepted are task/variant for all seeds, and "
            f"task/variant/seed0"
        )
    task, text, seed = match["task"], match["variant"], match["seed"]
    done: dict[str, set[int]] = {f"{task}/{variant}": set() for task, variant in plan.variants()}
    for path in (layout.root / "runs").glob("*/*/seed*/metrics.csv"):
        folder = path.parent
        if not folder.name.removeprefix("seed").isdecimal():  # somebody's copy
            continue
        run = f"{folder.parent.parent.name}/{folder.parent.name}"
        done.setdefault(run, set()).add(int(folder.name.removeprefix("seed")))
    try:
        variant = Variant.parse(text).name
    except DMPError as error:
        raise DMPError(f"{error}; {did_you_mean(f'{task}/{text}', done)}{_ANY}") from error
    run = f"{task}/{variant}"
    if run not in done:
        raise DMPError(f"there is no run '{name}': {did_you_mean(run, done)}{_ANY}")
    wanted = set(plan.seeds) if seed is None else {int(seed)}
    missing = wanted - done[run]
    if missing:
        raise DMPError(
            f"'{name}': {run} has not been run with seeds {_listed(missing)}, but with "
            f"{_listed(done[run]) or 'none'}; name one that it has, or run it: "
            f"dmp run {task} '{variant}' --seed {min(missing)}"
        )
    return task, variant, wanted


def _listed(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
