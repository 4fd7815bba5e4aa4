"""The kinds of figures by name, and the files that a study's figures are written to."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from dmp.config import Strict
from dmp.errors import DMPError
from dmp.reporting.figures import KINDS, Draw, Kind, check_figures
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.style import empty_figure, styled, write_figure
from dmp.studies.schema import FigureSpec, Study


def register_figure(
    name: str, options: type[Strict] = Strict, title: str = "", files: bool = False
) -> Callable[[Draw], Draw]:
    """Return a decorator that registers a function as a kind of figure.

    Args:
        options: what the figure's ``options`` in a study are validated as; none, if left out.
        title: what reports call it; its name, if left out.
        files: whether it draws files of runs beside their numbers: such a figure cannot be drawn
            from published numbers.
    """

    def registered(draw: Draw) -> Draw:
        KINDS.register(name)(Kind(styled(draw), options, title or name, files))
        return draw

    return registered


def write_figures(study: Study, data: FigureData, directory: str | Path) -> list[Path]:
    """Draw all figures of a study; equal input gives equal bytes.

    Returns:
        The files: ``<study.id>-<kind>-<task>`` as ``.svg`` and ``.png`` for every task
        that is run, or ``<study.id>-<kind>``, which says why it is empty, where none is.

    Raises:
        DMPError: as :func:`check_figures`; two figures have one name, or a file cannot be read or
            written.
    """
    drawn: dict[str, Figure] = {}
    for spec, options, where in check_figures(study):
        for task, stem in _stems(study, spec):
            if stem in drawn:
                raise DMPError(
                    f"{where}: two figures would be written to {stem}; a study has at most one "
                    f"figure of a kind for each task"
                )
            if task is None:
                drawn[stem] = _not_run(study, spec, data)
            else:
                drawn[stem] = KINDS.get(spec.kind, where).draw(study, data, task, options)
    directory = Path(directory)
    return [path for stem, each in drawn.items() for path in write_figure(each, directory / stem)]


def without_files(study: Study) -> Study:
    """Return a study with those figures alone that are drawn from numbers."""
    kept = [spec for spec in study.figures if not KINDS.get(spec.kind, f"study {study.id}").files]
    return study.model_copy(update={"figures": kept})


def _stems(study: Study, spec: FigureSpec) -> list[tuple[str | None, str]]:
    """Return the tasks to draw, each with the name of its figure; task None if none is run."""
    tasks = list(dict.fromkeys(cell.task for cell in study.cells))
    run = {cell.task for cell in study.cells if not cell.not_run}
    stem = f"{study.id}-{spec.kind}"
    wanted = [task for task in tasks if task in run and spec.task in (None, task)]
    return [(task, f"{stem}-{task}") for task in wanted] or [(None, stem)]


def _not_run(study: Study, spec: FigureSpec, data: FigureData) -> Figure:
    reasons = {cell.task: cell.not_run for cell in study.cells if spec.task in (None, cell.task)}
    why = [f"{task} is not run at this scale: {reason}." for task, reason in reasons.items()]
    return empty_figure(study.title, data.scale, why)
