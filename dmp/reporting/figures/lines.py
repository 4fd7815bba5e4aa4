"""Changes in percent: as lines or dots with intervals, on axes that small and large ones share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmp.reporting.figures.style import GREY, WIDTH, Look, method_look

# With more lines than these, they hide each other.
LINES_PER_PANEL = 5
ROW = 0.24
"""Inches: the height of a row of dots."""
# Of the distance between two points, so much lies between the first line and the last.
_SPREAD = 0.25
_POWERS = (0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000)


def lines(
    axes: Axes,
    estimates: Mapping[str, pd.DataFrame],
    look: Mapping[str, Look],
    labels: Mapping[str, str],
    threshold: float,
) -> None:
    """Draw means as lines with markers, and their intervals as bars that stand side by side.

    Args:
        estimates: by variant, ``mean``, ``low`` and ``high`` by key; NaN limits draw no bar.
        threshold: of the vertical axis; see :func:`percent_scale`.
    """
    zero_line(axes)
    for k, (name, found) in enumerate(estimates.items()):
        x = found.index.to_numpy(dtype=float)
        step = float(np.diff(x).min()) if len(x) > 1 else 0.0
        place = (k + 0.5) / len(estimates) - 0.5
        mean, own = found["mean"].to_numpy(), look[name]
        errors = np.array([mean - found["low"], found["high"] - mean])
        axes.errorbar(
            x + place * _SPREAD * step, mean, yerr=errors, color=own.color, marker=own.marker,
            linestyle=own.linestyle, elinewidth=0.7, capsize=1.5, label=labels[name],
        )  # fmt: skip
    percent_scale(axes, "y", threshold)


def dots(
    estimates: Mapping[str, pd.DataFrame],
    labels: Mapping[str, str],
    threshold: float,
    name: str,
    height: float = ROW,
) -> Figure:
    """Draw a row for each variant, from the top: its changes as dots, with their intervals.

    Args:
        estimates: by variant, ``mean``, ``low`` and ``high`` of each dot; the last is filled,
            others are open and stand above it.
        threshold: of the horizontal axis; see :func:`percent_scale`.
        name: of that axis.
        height: of a row, in inches.
    """
    figure = Figure(figsize=(WIDTH, height * len(estimates) + 0.5))
    axes = figure.subplots()
    for y, (key, found) in enumerate(estimates.items()):
        count, look = len(found), method_look(key)
        for k, (mean, low, high) in enumerate(found.to_numpy(dtype=float)):
            last = k == count - 1
            axes.errorbar(
                mean, y + (0.14 * (2 * k - count + 1)), xerr=[[mean - low], [high - mean]],
                color=look.color, marker=look.marker, mfc=None if last else "white",
                elinewidth=0.9, capsize=2, linestyle="none", alpha=1 if last else 0.7,
            )  # fmt: skip
    values = pd.concat(estimates.values()).to_numpy(dtype=float)
    percent_rows(axes, values, threshold, range(len(estimates)), [labels[key] for key in estimates])
    axes.set_ylim(len(estimates) - 0.5, -0.5)
    axes.set_xlabel(name)
    return figure


def percent_rows(
    axes: Axes,
    values: np.ndarray,
    threshold: float,
    places: Iterable[float],
    labels: Sequence[str],
    **text: Any,
) -> None:
    """Name the rows at some places, and make the horizontal axis one of percent that holds values.

    Args:
        text: how names are written; see :meth:`matplotlib.axes.Axes.set_yticks`.
    """
    percent_scale(axes, "x", threshold)
    axes.set_xlim(percent_limits(values, threshold))
    zero_line(axes, "x")
    axes.set_yticks(list(places), labels, **text)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def percent_scale(axes: Axes, which: Literal["x", "y"], threshold: float) -> None:
    """Make an axis of percent linear within ±threshold and logarithmic beyond.

    One threshold for all figures of a kind: what looks as large in one is as large in another.
    """
    ticks = [power for power in _POWERS if power >= threshold]
    ticks = [*(-tick for tick in reversed(ticks)), 0, *ticks]
    scale, axis = (axes.set_xscale, axes.xaxis) if which == "x" else (axes.set_yscale, axes.yaxis)
    scale("symlog", linthresh=threshold)
    axis.set_ticks([], minor=True)
    axis.set_ticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])


def percent_limits(values: np.ndarray, threshold: float) -> tuple[float, float]:
    """Return limits of such an axis that hold all finite values, and the linear part."""
    finite = values[np.isfinite(values)]
    ends = [max(threshold, 1.3 * float(side.max(initial=0))) for side in (-finite, finite)]
    return -ends[0], ends[1]


def zero_line(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Draw where a value of the axis stays as it is."""
    (axes.axvline if which == "x" else axes.axhline)(0, color=GREY, linewidth=1, zorder=0)


def shares(items: Sequence[str]) -> list[list[str]]:
    """Share items among as few panels as hold them, as evenly as can be; one panel for none."""
    panels = max(1, -(-len(items) // LINES_PER_PANEL))
    return [list(part) for part in np.array_split(np.array(items, dtype=object), panels)]


def legend_beside(axes: Axes) -> None:
    """Put the legend to the right of a panel; constrained layout leaves room for it."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
