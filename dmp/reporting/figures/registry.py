"""The kinds of figures by name, and the files that a study's figures are written to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dmp.config import Strict, from_data, nearest
from dmp.errors import DMPError
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.style import empty_figure, styled, write_figure

# (study, data, task, options) to a figure; options are of the class that the kind declares.
Draw = Callable[[Any, FigureData, str, Any], Figure]

FIGURES: dict[str, Draw] = {}
OPTIONS: dict[str, type[Strict]] = {}


class NoOptions(Strict):
    """For kinds of figures that take no options."""


def figure(kind: str, options: type[Strict] = NoOptions) -> Callable[[Draw], Draw]:
    """Register a function that draws one kind of figure for one task of a study.

    Args:
        kind: the name in studies.
        options: what the figure's ``options`` in a study are validated as.

    """

    def register(draw: Draw) -> Draw:
        FIGURES[kind] = styled(draw)
        OPTIONS[kind] = options
        return FIGURES[kind]

    return register


def write_figures(study: Any, data: FigureData, directory: str | Path) -> list[Path]:
    """Draw all figures of a study; equal input gives equal bytes.

    Args:
        study: has ``id``, ``title``, ``metrics``, ``cells`` (with ``task``, ``variant``, ``label``,
            ``paper`` and ``not_run``) and ``figures`` (with ``kind``, ``task`` and ``options``).
        data: what is drawn.
        directory: where to; made if it does not exist.

    Returns:
        The files: ``<study.id>-<kind>-<task>`` as ``.svg`` and ``.png`` for every task
        that is run, or ``<study.id>-<kind>``, which says why it is empty, where none is.

    Raises:
        DMPError: a kind is not known, an option is not accepted, a task is not one of the study's,
            two figures have one name, or a file cannot be read or written.

    """
    stems: dict[str, Figure] = {}
    for spec, options, where in check_figures(study):
        for task, stem in _stems(study, spec, where):
            if stem in stems:
                raise DMPError(
                    f"{where}: two figures would be written to {stem}; a study has at most one "
                    f"figure of a kind for each task"
                )
            stems[stem] = (
                _not_run(study, spec, data)
                if task is None
                else FIGURES[spec.kind](study, data, task, options)
            )
    written = []
    for stem, drawn in stems.items():
        written += write_figure(drawn, Path(directory) / stem)
    return written


def check_figures(study: Any) -> list[tuple[Any, Strict, str]]:
    """Return a study's figures with their validated options, and where each stands.

    Raises:
        DMPError: a kind is not known, or an option is not accepted.

    """
    checked = []
    for number, spec in enumerate(study.figures):
        where = f"study {study.id}: figures.{number}"
        if spec.kind not in FIGURES:
            raise DMPError(f"{where}.kind = '{spec.kind}': {nearest(spec.kind, FIGURES)}")
        checked.append((spec, parse_options(spec.kind, spec.options, f"{where}.options"), where))
    return checked


def parse_options(kind: str, options: dict[str, Any], where: str) -> Strict:
    """Validate the options of a known kind of figure.

    Raises:
        DMPError: an option is not accepted.

    """
    return from_data(OPTIONS[kind], options, where)


def _stems(study: Any, spec: Any, where: str) -> list[tuple[str | None, str]]:
    """Return the tasks to draw, each with the name of its figure; task None if none is run."""
    tasks = list(dict.fromkeys(cell.task for cell in study.cells))
    if spec.task is not None and spec.task not in tasks:
        raise DMPError(f"{where}.task = '{spec.task}': {nearest(spec.task, tasks)}")
    wanted = tasks if spec.task is None else [spec.task]
    run = [
        task
        for task in wanted
        if any(cell.task == task and not cell.not_run for cell in study.cells)
    ]
    stem = f"{study.id}-{spec.kind}"
    return [(task, f"{stem}-{task}") for task in run] or [(None, stem)]


def _not_run(study: Any, spec: Any, data: FigureData) -> Figure:
    reasons = {cell.task: cell.not_run for cell in study.cells if spec.task in (None, cell.task)}
    why = [f"{task} is not run at this scale: {reason}." for task, reason in reasons.items()]
    return empty_figure(study.title, data.scale, why)
