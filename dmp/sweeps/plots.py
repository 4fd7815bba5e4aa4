"""Optuna's own plots of a search: as figures, and as one interactive page."""

import html
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from dmp.files import write_text
from dmp.reporting.figures.style import finish, styled, write_figure
from dmp.statistics.labels import metric_name
from dmp.studies import Scale
from dmp.sweeps.schema import Sweep

# Below so many values, the importance of parameters is a matter of chance.
FEWEST = 4


def objective_name(objective: str) -> str:
    """Return what a person calls an objective."""
    return "added parameters" if objective == "added_parameters" else metric_name(objective)


def write_plots(sweep: Sweep, scale: Scale, study: optuna.Study, folder: Path) -> None:
    """Write the plots that the trials allow, each as .png and .svg, and remove others."""
    mpl.use("agg")
    for old in folder.glob("[!.]*"):
        old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(sweep, scale, study):
        write_figure(figure, folder / name)
        plt.close(figure)


@styled
def _figures(sweep: Sweep, scale: Scale, study: optuna.Study) -> list[tuple[str, Figure]]:
    note = f"Values of the search, {sweep.seeds} seed{'s' * (sweep.seeds > 1)} each."
    found = []
    for name, axes in _draw(optuna.visualization.matplotlib, sweep, study):
        figure = np.ravel(axes)[0].figure
        found.append((name, finish(figure, sweep.title, scale, [note])))
    return found


def write_interactive(sweep: Sweep, study: optuna.Study, path: Path) -> None:
    """Write the plots as one page that needs nothing from outside."""
    parts: list[str] = []
    for name, figure in _draw(optuna.visualization, sweep, study):
        # One copy of plotly's script; fixed names, so that equal trials give equal bytes.
        parts.append(figure.to_html(full_html=False, include_plotlyjs=not parts, div_id=name))
    title = html.escape(sweep.title)
    body = "\n".join(parts) or "<p>No trial has a value.</p>"
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body>\n<h1>{title}</h1>\n"
        f"<p>Values of the search; what the best points are worth stands in the table.</p>\n"
        f"{body}\n</body>\n</html>\n"
    )
    write_text(path, text)


def _draw(library: ModuleType, sweep: Sweep, study: optuna.Study) -> list[tuple[str, Any]]:
    """Return names and plots, by either of Optuna's modules, which have the same functions."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not trials:
        return []
    names = [objective_name(objective) for objective in sweep.objectives]
    drawn = []
    with warnings.catch_warnings():
        # That these functions are experimental, and that low values are taken to be good.
        warnings.simplefilter("ignore")
        for index, objective in enumerate(sweep.objectives):

            def target(trial: FrozenTrial, index: int = index) -> float:
                return (trial.values or [])[index]

            given = {"target_name": names[index]} | ({"target": target} if len(names) > 1 else {})
            drawn.append(
                (f"history-{objective}", library.plot_optimization_history(study, **given))
            )
            drawn.append((f"slice-{objective}", library.plot_slice(study, **given)))
            if len(trials) >= FEWEST and len(set(map(target, trials))) > 1:
                importances = library.plot_param_importances(study, **given)
                drawn.append((f"importance-{objective}", importances))
        if len(names) > 1:
            drawn.append(("pareto", library.plot_pareto_front(study, target_names=names)))
    return drawn
