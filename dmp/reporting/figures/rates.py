"""Held-out loss against the effective rate lr·E[w] of prompts, over methods and N."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from dmp.claims.rates import Point, spread
from dmp.reporting.figures.lines import percent_limits, percent_scale, zero_line
from dmp.reporting.figures.style import WIDTH, empty_figure, finish, looks, styled
from dmp.statistics.formatting import format_number
from dmp.studies.schema import Scale

TITLE = "One curve for all prompts? Held-out loss against lr·E[w]"

# Percent: as large as what is relevant in a loss.
_THRESHOLD = 0.1


@styled
def effective_rates(points: Sequence[Point], left: Sequence[str], scale: Scale) -> Figure:
    """Draw each arm with its 95 % interval, a panel for each number of tokens.

    Args:
        points: from :func:`dmp.claims.rates.points`, as the next.
        left: what is left out.
    """
    if not points:
        return empty_figure(TITLE, scale, list(left) or ["No arm has numbers."])
    tasks = list(dict.fromkeys(point.task for point in points))
    figure = Figure(figsize=(WIDTH, 2.8))
    panels = figure.subplots(1, len(tasks), sharex=True, sharey=True, squeeze=False)[0]
    # A colour for each method and kind of weights: what must not matter.
    kinds = list(dict.fromkeys(_kind(point) for point in points))
    look = looks(kinds)
    for axes, task in zip(panels, tasks, strict=True):
        own = [point for point in points if point.task == task]
        zero_line(axes)
        for kind in kinds:
            chosen = [point for point in own if _kind(point) == kind]
            if not chosen:
                continue
            mean, low, high = (
                np.array([p.effect.percent(getattr(p.effect.found, name)) for p in chosen])
                for name in ("mean", "low", "high")
            )
            axes.errorbar(
                [p.rate for p in chosen], mean, yerr=[mean - low, high - mean],
                color=look[kind].color, marker=look[kind].marker, linestyle="none", mfc="none",
                capsize=2, label=kind,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_title(f"{task}\nN = {own[0].tokens}", fontsize=7)
        axes.set_xlabel("lr·E[w] / lr of the task")
    ends = [
        p.effect.percent(end) for p in points for end in (p.effect.found.low, p.effect.found.high)
    ]
    percent_scale(panels[0], "y", _THRESHOLD)
    panels[0].set_ylim(percent_limits(np.array(ends), _THRESHOLD))
    panels[0].set_ylabel("Denoising MSE against the baseline / %")
    handles = {}
    for axes in panels:
        found, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    panels[-1].legend(
        handles.values(), handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=6.5
    )
    notes = [
        f"E[w] is the mean weight of a prompt: 1/N of a softmax over N, 1 of prompt tuning and of "
        f"N·softmax. Arms of one task and equal lr·E[w] lie within {format_number(spread(points))} "
        f"% of the loss. Intervals are 95 % t intervals of the paired difference. The vertical "
        f"axis is linear within ±{_THRESHOLD:g} % and logarithmic beyond.",
        *left,
    ]
    return finish(figure, TITLE, scale, notes)


def _kind(point: Point) -> str:
    """Return a variant's name without its learning rate."""
    options = point.variant.split(",")
    return ",".join(option for option in options if not option.startswith("learning_rate"))
