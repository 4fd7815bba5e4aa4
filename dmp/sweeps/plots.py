"""Plots of a search: static ones in the style of all figures, and Optuna's own as one page."""

import html
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.trial import FrozenTrial, TrialState

from dmp.files import write_text
from dmp.reporting.figures.style import (
    GREY,
    WIDTH,
    empty_figure,
    finish,
    looks,
    styled,
    write_figure,
)
from dmp.statistics.labels import metric_name
from dmp.sweeps.schema import CategoricalParameter, FloatParameter, IntParameter, Sweep
from dmp.sweeps.trials import pareto_front

# Below so many values, the importance of parameters is a matter of chance.
FEWEST = 4


def write_plots(sweep: Sweep, scale: Any, study: optuna.Study, directory: str | Path) -> None:
    """Write ``history``, ``importance``, ``slice`` and ``pareto`` as .png and .svg.

    Where there is too little to draw, the plot says so.
    """
    trials = _complete(study)
    drawings: dict[str, Callable[[Sweep, Any, list[FrozenTrial]], Figure]] = {
        "history": history,
        "slice": slices,
        "pareto": pareto,
    }
    for name, draw in drawings.items():
        write_figure(draw(sweep, scale, trials), Path(directory) / name)
    found = [importances(study, index) for index in range(len(sweep.objectives))]
    write_figure(importance(sweep, scale, found), Path(directory) / "importance")


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _label(objective: str) -> str:
    return "Added parameters" if objective == "added_parameters" else metric_name(objective)


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, 2.3 * rows))
    grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def _searched(sweep: Sweep) -> str:
    return f"Values of the search, {sweep.seeds} seed{'s' * (sweep.seeds > 1)} each."


@styled
def history(sweep: Sweep, scale: Any, trials: list[FrozenTrial]) -> Figure:
    """Draw each objective against the number of the trial, and the least so far."""
    title = f"{sweep.title}: history"
    if not trials:
        return empty_figure(title, scale, ["No trial has a value."])
    figure, panels = _panels(len(sweep.objectives), len(sweep.objectives))
    numbers = [trial.number for trial in trials]
    for index, (axes, objective) in enumerate(zip(panels, sweep.objectives, strict=True)):
        values = np.array([trial.values[index] for trial in trials])
        axes.plot(numbers, values, "o", color=GREY, label="trial")
        axes.step(numbers, np.minimum.accumulate(values), where="post", label="least so far")
        axes.set_xlabel("Trial")
        axes.set_ylabel(_label(objective))
        axes.legend()
    return finish(figure, title, scale, [_searched(sweep)])


@styled
def slices(sweep: Sweep, scale: Any, trials: list[FrozenTrial]) -> Figure:
    """Draw the first objective against each parameter, at the trials where it has an effect."""
    title = f"{sweep.title}: slices"
    if not trials:
        return empty_figure(title, scale, ["No trial has a value."])
    figure, panels = _panels(len(sweep.parameters), min(3, len(sweep.parameters)))
    for axes, parameter in zip(panels, sweep.parameters, strict=True):
        with_it = [trial for trial in trials if parameter.name in trial.params]
        x = [trial.params[parameter.name] for trial in with_it]
        if isinstance(parameter, CategoricalParameter):
            names = [str(choice) for choice in parameter.choices]
            x = [names.index(str(value)) for value in x]
            axes.set_xticks(range(len(names)), names)
            axes.set_xlim(-0.5, len(names) - 0.5)
        axes.plot(x, [trial.values[0] for trial in with_it], "o", color=GREY)
        if _is_log(parameter):
            axes.set_xscale("log")
            # Plain numbers: they are options as one would write them.
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif isinstance(parameter, IntParameter):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(parameter.name)
        axes.set_ylabel(_label(sweep.objectives[0]))
    return finish(figure, title, scale, [_searched(sweep)])


def _is_log(parameter: object) -> bool:
    if isinstance(parameter, IntParameter):
        return parameter.log
    return isinstance(parameter, FloatParameter) and parameter.kind == "log"


@styled
def pareto(sweep: Sweep, scale: Any, trials: list[FrozenTrial]) -> Figure:
    """Draw two objectives against each other, and their front."""
    title = f"{sweep.title}: Pareto front"
    if len(sweep.objectives) < 2:
        return empty_figure(title, scale, ["The sweep has one objective."])
    if not trials:
        return empty_figure(title, scale, ["No trial has a value."])
    values = [trial.values for trial in trials]
    front = sorted(values[index] for index in pareto_front(values))
    figure, (axes,) = _panels(1, 1)
    own = looks(["dmp"])["dmp"]
    axes.plot([v[1] for v in values], [v[0] for v in values], "o", color=GREY, label="trial")
    axes.plot(
        [v[1] for v in front], [v[0] for v in front], color=own.color, marker=own.marker,
        label="Pareto front",
    )  # fmt: skip
    axes.set_xlabel(_label(sweep.objectives[1]))
    axes.set_ylabel(_label(sweep.objectives[0]))
    axes.legend()
    return finish(figure, title, scale, [_searched(sweep)])


def importances(study: optuna.Study, index: int) -> dict[str, float]:
    """Return the share of each parameter in the variance of an objective (PED-ANOVA).

    Empty where it is not defined: too few trials, or nothing that varies.
    """
    trials = _complete(study)
    varied = {name for trial in trials for name in trial.params}
    distinct = {trial.values[index] for trial in trials}
    if len(trials) < FEWEST or len(distinct) < 2 or not varied:
        return {}
    with warnings.catch_warnings():
        # It points out that low values are taken to be good, which here they are.
        warnings.simplefilter("ignore", UserWarning)
        return optuna.importance.get_param_importances(
            study, target=lambda trial: trial.values[index]
        )


@styled
def importance(sweep: Sweep, scale: Any, found: list[dict[str, float]]) -> Figure:
    """Draw the importance of each parameter for each objective."""
    title = f"{sweep.title}: importance of the parameters"
    if not any(found):
        why = f"This takes {FEWEST} trials with a value, and values that differ."
        return empty_figure(title, scale, [why])
    names = [parameter.name for parameter in sweep.parameters][::-1]
    figure = Figure(figsize=(WIDTH, 0.8 + 0.3 * len(names)))
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, objective, shares in zip(panels, sweep.objectives, found, strict=True):
        axes.barh(names, [shares.get(name, 0.0) for name in names], color=looks(["dmp"])["dmp"][0])
        axes.set_xlabel(f"Importance: {_label(objective)}")
        axes.set_xlim(0, 1)
    return finish(figure, title, scale, [_searched(sweep)])


def write_interactive(sweep: Sweep, study: optuna.Study, path: str | Path) -> None:
    """Write Optuna's own plots as one page that needs nothing from outside."""
    parts = []
    for name, figure in _interactive(sweep, study):
        # One copy of plotly's script; fixed names, so that equal trials give equal bytes.
        script = not parts
        parts.append(figure.to_html(full_html=False, include_plotlyjs=script, div_id=name))
    title = html.escape(sweep.title)
    body = "\n".join(parts) or "<p>No trial has a value.</p>"
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body>\n<h1>{title}</h1>\n"
        f"<p>Values of the search; what the best points are worth stands in the table.</p>\n"
        f"{body}\n</body>\n</html>\n"
    )
    write_text(path, text)


def _interactive(sweep: Sweep, study: optuna.Study) -> list[tuple[str, Any]]:
    drawn: list[tuple[str, Any]] = []
    if not _complete(study):
        return drawn
    plots = optuna.visualization
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # as in importances
        for index, objective in enumerate(sweep.objectives):
            given = {
                "target": lambda trial, index=index: trial.values[index],
                "target_name": _label(objective),
            }
            drawn.append((f"history-{objective}", plots.plot_optimization_history(study, **given)))
            drawn.append((f"slice-{objective}", plots.plot_slice(study, **given)))
            if importances(study, index):
                figure = plots.plot_param_importances(study, **given)
                drawn.append((f"importance-{objective}", figure))
    if len(sweep.objectives) > 1:
        names = [_label(objective) for objective in sweep.objectives]
        drawn.append(("pareto", plots.plot_pareto_front(study, target_names=names)))
    return drawn
