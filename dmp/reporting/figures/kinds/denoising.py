"""How much a variant changes the denoising loss: at each noise level, or on the whole."""

import pandas as pd
from matplotlib.figure import Figure

from dmp.config import Strict
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.lines import (
    LINES_PER_PANEL,
    dots,
    legend_beside,
    lines,
    percent_limits,
)
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, empty_figure, finish, looks
from dmp.reporting.figures.variants import BASELINE, draw_arms, in_percent, relative
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies.schema import MetricName, Study

# Percent: as large as what is relevant in a loss.
_THRESHOLD = 0.1


class DenoisingOptions(Strict):
    """Options of ``denoising``.

    Attributes:
        metric: a metric with bins of timesteps.
    """

    metric: MetricName = "denoising_mse"


@register_figure("denoising", DenoisingOptions, title="Change of the denoising loss")
def denoising(study: Study, data: FigureData, task: str, options: DenoisingOptions) -> Figure:
    """Draw the paired change to the baseline in percent, with 95 % t intervals.

    Against the timestep where there are few variants; more would hide each other, and have a row
    each, of the loss over all timesteps.
    """
    title = f"{study.title} – {task}"
    drawn = draw_arms(study, data, task, options.metric, "timestep")
    few = len(drawn.arms) - 1 <= LINES_PER_PANEL
    if not few:
        drawn = draw_arms(study, data, task, options.metric, "last")
    arms, labels, notes = drawn
    baseline = arms.pop(BASELINE, None)
    if baseline is None or not arms:
        notes.append("Differences need a baseline and something to compare with it.")
        return empty_figure(title, data.scale, notes)
    changes = {name: relative(arm, baseline) for name, arm in arms.items()}
    lone = [labels[name] for name, arm in changes.items() if arm.values.empty]
    notes += [f"{name} is left out: it shares no seed with the baseline." for name in lone]
    changes = {name: arm for name, arm in changes.items() if not arm.values.empty}
    if not changes:
        return empty_figure(title, data.scale, notes)
    estimates = {name: in_percent(arm.estimates()) for name, arm in changes.items()}
    name = f"Δ {metric_name(options.metric)} to baseline / %"
    if few:
        look = looks(cell.variant for cell in study.cells if cell.task == task)
        result = Figure(figsize=(WIDTH, 2.4))
        axes = result.subplots()
        lines(axes, estimates, look, labels, _THRESHOLD)
        values = pd.concat(estimates.values()).to_numpy(dtype=float)
        axes.set_ylim(percent_limits(values, _THRESHOLD))
        axes.set_ylabel(name)
        axes.set_xlabel("Timestep (0 = least noise), middle of each bin")
        legend_beside(axes)
    else:
        result = dots(estimates, labels, _THRESHOLD, name)
    better = " Below 0 is better." if "↓" in metric_label(options.metric) else ""
    notes.append(
        f"Change to the baseline, mean over {max(len(arm.values) for arm in changes.values())} "
        f"paired seeds with 95 % t intervals where there is more than one unit. The axis is linear "
        f"within ±{_THRESHOLD:g} % and logarithmic beyond.{better}"
    )
    return finish(result, title, data.scale, notes)
