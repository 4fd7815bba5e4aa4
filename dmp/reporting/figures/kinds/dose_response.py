"""A metric against an ordered list of variants, such as the number of patched blocks (Fig. 4)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmp.config import Strict
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import GREY, WIDTH, empty_figure, finish, looks
from dmp.reporting.figures.variants import cells_of, draw_arms
from dmp.statistics.arms import Arm
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies.schema import MetricName, Study


class DoseResponseOptions(Strict):
    """Options of ``dose-response``.

    Attributes:
        metric: what is drawn; the study's first if left out.
    """

    metric: MetricName | None = None


@register_figure("dose-response", DoseResponseOptions, title="Dose and response")
def dose_response(
    study: Study, data: FigureData, task: str, options: DoseResponseOptions
) -> Figure:
    """Draw the cells in their order: mean with 95 % t interval, and a faint line for each seed."""
    title = f"{study.title} – {task}"
    metric = options.metric or study.metrics[0]
    arms, labels, notes = draw_arms(study, data, task, metric, "last")
    cells, _ = cells_of(study, task)
    names = list(labels.values())
    places = [place for place, cell in enumerate(cells) if cell.variant in arms]
    if not places:
        return empty_figure(title, data.scale, notes)
    paper = {k: float(cell.paper[metric]) for k, cell in enumerate(cells) if metric in cell.paper}
    result = Figure(figsize=(WIDTH if paper else 0.65 * WIDTH, 2.5))
    panels = result.subplots(1, 2 if paper else 1, squeeze=False)[0]
    found = [arms[cells[place].variant] for place in places]
    _draw(panels[0], places, found)
    panels[0].set_ylabel(f"{metric_label(metric)}, here")
    if paper:
        panels[1].plot(list(paper), list(paper.values()), "D-", color="black", mfc="white")
        panels[1].set_ylabel(f"{metric_name(metric)}, paper")
        panels[1].set_title("The paper's values (own axis)")
    long = max(map(len, names)) * len(names) > 48
    for axes in panels:
        axes.set_xlim(-0.5, len(cells) - 0.5)
        axes.set_xticks(range(len(cells)), names)
        if long:
            axes.tick_params(axis="x", labelrotation=35)
            for text in axes.get_xticklabels():
                text.set(ha="right", rotation_mode="anchor")
    notes.append(
        f"{max(len(arm.values) for arm in found)} seeds; thin lines join the values of one seed. "
        f"Intervals are 95 % t intervals of each mean by itself; differences within a seed vary "
        f"less than these suggest."
    )
    return finish(result, title, data.scale, notes)


def _draw(axes: Axes, places: list[int], arms: list[Arm]) -> None:
    last = [arm.values.iloc[:, -1] for arm in arms]
    for seed in sorted(set().union(*(values.index for values in last))):
        y = [values.get(seed, np.nan) for values in last]
        axes.plot(places, y, color="0.75", linewidth=0.8, zorder=1)
    estimates = [arm.estimates().iloc[-1] for arm in arms]
    mean = np.array([e["mean"] for e in estimates])
    errors = [[e["mean"] - e["low"], e["high"] - e["mean"]] for e in estimates]
    # NaN limits, of one unit, draw no bar.
    look = looks(["dmp"])["dmp"]
    axes.errorbar(
        places, mean, yerr=np.array(errors).T, color=look.color, marker=look.marker, capsize=3,
        label="mean",
    )  # fmt: skip
    axes.axhline(mean[0], color=GREY, linewidth=0.8, linestyle=(0, (1, 1)), zorder=0)
