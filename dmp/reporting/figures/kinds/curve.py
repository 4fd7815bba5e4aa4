"""A metric's change against the iterations of further training (Fig. 2)."""

from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from dmp.config import Strict
from dmp.config.numbers import Value
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.lines import (
    ROW,
    dots,
    legend_beside,
    lines,
    percent_limits,
    shares,
    zero_line,
)
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, Look, empty_figure, finish, looks
from dmp.reporting.figures.variants import BASELINE, draw_arms, in_percent, relative
from dmp.statistics.arms import Arm
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies.schema import MetricName, Study

# Percent: as large as most of the paper's changes.
_THRESHOLD = 10


class CurveOptions(Strict):
    """Options of ``curve``.

    Attributes:
        paper: label (or variant) to iteration to the paper's value.
    """

    metric: MetricName = "fid"
    paper: dict[str, dict[Annotated[int, Field(ge=0, le=10**9)], Value]] = {}


@register_figure("curve", CurveOptions, title="Change over further training")
def curve(study: Study, data: FigureData, task: str, options: CurveOptions) -> Figure:
    """Draw changes to the baseline in percent, with 95 % t intervals, here and in the paper.

    Iteration 0 is the baseline, unless a variant was measured before its training, since attaching
    it changes the output. Where no variant was measured on the way, before and after are dots: two
    points make no curve.
    """
    title = f"{study.title} – {task}"
    arms, labels, notes = draw_arms(study, data, task, options.metric, "iteration")
    baseline = arms.pop(BASELINE, None)
    if baseline is None or not arms:
        notes.append("Changes need a baseline and something to compare with it.")
        return empty_figure(title, data.scale, notes)
    changes = {name: _from_zero(relative(arm, baseline)) for name, arm in arms.items()}
    estimates = {
        name: in_percent(arm.estimates()) for name, arm in changes.items() if len(arm.values)
    }
    if not estimates:
        return empty_figure(title, data.scale, [*notes, "No variant has a seed of the baseline's."])
    variants = [cell.variant for cell in study.cells if cell.task == task]
    look = looks([*variants, *options.paper])
    name = f"Δ {metric_name(options.metric)} to baseline / %"
    better = "Below 0 is better. " if "↓" in metric_label(options.metric) else ""
    if all(len(found) <= 2 for found in estimates.values()) and not options.paper:
        result = dots(estimates, labels, _THRESHOLD, name, height=1.4 * ROW)
        told = "Open: before training, where attaching the prompts changes the output. "
    else:
        result = _lines(study, task, options, estimates, labels, look)
        result.axes[0].set_ylabel(name)
        told = "Iteration 0 is the baseline, unless attaching the prompts changes its output. "
    notes.append(
        f"Mean over {max(len(arm.values) for arm in changes.values())} paired seeds with 95 % t "
        f"intervals where there is more than one unit. {told}{better}The axis is linear within "
        f"±{_THRESHOLD} % and logarithmic beyond."
    )
    return finish(result, title, data.scale, notes)


def _from_zero(change: Arm) -> Arm:
    """Return the same with iteration 0, where a variant that was not measured is the baseline."""
    if 0 in change.values or change.values.shape[1] < 2:
        return change
    values = change.values.assign(**{"0": 0.0}).rename(columns={"0": 0})
    return replace(change, values=values[sorted(values.columns)])


def _lines(
    study: Study,
    task: str,
    options: CurveOptions,
    estimates: dict[str, pd.DataFrame],
    labels: dict[str, str],
    look: dict[str, Look],
) -> Figure:
    panels = shares(list(estimates))
    columns = 2 if options.paper else 1
    result = Figure(figsize=(WIDTH, 2.5 * len(panels)))
    grid = result.subplots(len(panels), columns, squeeze=False, sharey=True)
    values = [pd.concat(estimates.values()).to_numpy(dtype=float).ravel()]
    for row, (axes, names) in enumerate(zip(grid[:, 0], panels, strict=True)):
        lines(axes, {name: estimates[name] for name in names}, look, labels, _THRESHOLD)
        if row or not options.paper:
            legend_beside(axes)
    grid[-1, 0].set_xlabel("Iterations of further training")
    if options.paper:
        values.append(_draw_paper(grid[0, 1], study, task, options, look))
        grid[0, 0].set_title("Here")
        legend_beside(grid[0, 1])
        for axes in grid[1:, 1]:
            axes.remove()
    grid[0, 0].set_ylim(percent_limits(np.concatenate(values), _THRESHOLD))
    return result


def _draw_paper(
    axes: Axes, study: Study, task: str, options: CurveOptions, look: dict[str, Look]
) -> np.ndarray:
    """Draw the paper's values relative to their first, and return them."""
    variants = {cell.label: cell.variant for cell in study.cells if cell.task == task}
    drawn = []
    zero_line(axes)
    for name, values in options.paper.items():
        own = look[variants.get(name, name)]
        iterations = sorted(values)
        y = 100 * (np.array([values[k] for k in iterations]) / values[iterations[0]] - 1)
        axes.plot(
            iterations, y, color=own.color, marker=own.marker, linestyle=own.linestyle, label=name
        )
        drawn.append(y)
    axes.set_xlabel("Iterations of further training")
    axes.set_title("In the paper")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    return np.concatenate(drawn)
