"""A metric against the iterations of further training (Fig. 2)."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from dmp.config import Strict
from dmp.config.numbers import Value
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.lines import band, legend_beside, shares
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import GREY, WIDTH, Look, empty_figure, finish, looks
from dmp.reporting.figures.variants import BASELINE, draw_arms, label
from dmp.statistics.arms import Arm
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies.schema import MetricName, Study

# Beyond this ratio of the largest mean to the smallest, a linear axis hides the small ones.
_LARGEST_RATIO = 10


class CurveOptions(Strict):
    """Options of ``curve``.

    Attributes:
        metric: what is drawn.
        paper: label (or variant) to iteration to the paper's value; drawn on axes of their own,
            since the paper's numbers cannot be compared with ours.

    """

    metric: MetricName = "fid"
    paper: dict[str, dict[Annotated[int, Field(ge=0, le=10**9)], Value]] = {}


@register_figure("curve", CurveOptions)
def curve(study: Study, data: FigureData, task: str, options: CurveOptions) -> Figure:
    """Draw means over seeds with 95 % t bands; the baseline is every variant's iteration 0.

    A variant that was measured before its training, since attaching it changes the output, starts
    there instead.
    """
    title = f"{study.title} – {task}"
    arms, labels, notes = draw_arms(study, data, task, options.metric, "iteration")
    baseline = arms.pop(BASELINE, None)
    arms = {name: from_baseline(arm, baseline) for name, arm in arms.items()}
    if not arms and baseline is None:
        return empty_figure(title, data.scale, notes)
    seeds = max(len(arm.values) for arm in [*arms.values(), baseline] if arm)
    look = looks([*(cell.variant for cell in study.cells), *options.paper])
    panels = shares(list(arms))
    columns = 2 if options.paper else 1
    result = Figure(figsize=(WIDTH, 2.3 * len(panels)))
    grid = result.subplots(len(panels), columns, squeeze=False)
    for axes, names in zip(grid[:, 0], panels, strict=True):
        if axes is not grid[0, 0]:
            axes.sharey(grid[0, 0])
            axes.sharex(grid[0, 0])
        if baseline is not None:
            level = baseline.estimates()["mean"].iloc[-1]
            axes.axhline(level, color=GREY, linestyle=(0, (1, 1)), label=labels[BASELINE])
        for name in names:
            band(axes, arms[name].estimates(), look[name], labels[name])
        axes.set_ylabel(f"{metric_label(options.metric)}, here")
    grid[-1, 0].set_xlabel("Iterations of further training")
    _choose_scale(grid[0, 0], arms, baseline)
    if options.paper:
        _draw_paper(grid[0, 1], study, task, options, look)
        for axes in grid[1:, 1]:
            axes.remove()
    for row, axes in enumerate(grid[:, 0]):
        # Both panels of the first row have the same lines, and one legend.
        legend_beside(axes) if row or not options.paper else _shared_legend(axes, grid[0, 1])
    notes.append(
        f"Mean over {seeds} seeds "
        f"with 95 % t bands where there is more than one unit. Iteration 0 is the baseline, unless "
        f"attaching the prompts changes its output."
    )
    return finish(result, title, data.scale, notes)


def from_baseline(arm: Arm, baseline: Arm | None) -> Arm:
    """Return the arm with its seeds' baselines as iteration 0, unless it has one of its own."""
    if baseline is None or 0 in arm.values:
        return arm
    start = baseline.values.iloc[:, -1].reindex(arm.values.index)
    if start.isna().any():
        return arm
    values = arm.values.assign(**{"0": start}).rename(columns={"0": 0})
    return replace(arm, values=values[sorted(values.columns)])


def _choose_scale(axes: Axes, arms: dict[str, Arm], baseline: Arm | None) -> None:
    means = np.concatenate(
        [arm.estimates()["mean"].to_numpy() for arm in [*arms.values(), baseline] if arm]
    )
    if means.min() > 0 and means.max() > _LARGEST_RATIO * means.min():
        axes.set_yscale("log")
        # A band may reach below 0, where a logarithm would stretch the axis without end.
        axes.set_ylim(bottom=means.min() / 2)


def _draw_paper(
    axes: Axes, study: Study, task: str, options: CurveOptions, look: dict[str, Look]
) -> None:
    variants = {label(cell): cell.variant for cell in study.cells if cell.task == task}
    for name, values in options.paper.items():
        own = look[variants.get(name, name)]
        iterations = sorted(values)
        axes.plot(
            iterations, [values[k] for k in iterations], color=own.color, marker=own.marker,
            linestyle=own.linestyle, label=name,
        )  # fmt: skip
    axes.set_xlabel("Iterations of further training")
    axes.set_ylabel(f"{metric_name(options.metric)}, paper")
    axes.set_title("The paper's values (own axes)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")


def _shared_legend(ours: Axes, paper: Axes) -> None:
    handles, labels = ours.get_legend_handles_labels()
    more = zip(*paper.get_legend_handles_labels(), strict=True)
    extra = [(handle, text) for handle, text in more if text not in labels]
    paper.legend(
        [*handles, *(handle for handle, _ in extra)],
        [*labels, *(text for _, text in extra)],
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
    )
