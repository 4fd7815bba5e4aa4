"""Changes in percent: as lines with intervals, on axes that small and large ones share."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dmp.reporting.figures.style import GREY, Look

# With more lines than these, they hide each other.
LINES_PER_PANEL = 5
# Of the distance between two points, so much lies between the first line and the last.
_SPREAD = 0.25
_POWERS = (0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000)


def line(axes: Axes, estimates: pd.DataFrame, look: Look, label: str, place: float = 0.5) -> None:
    """Draw (keys,) means as a line with markers, and their intervals as bars.

    Args:
        estimates: ``mean``, ``low`` and ``high`` by key; NaN limits draw no bar.
        place: from 0 to 1, where between the first line and the last: bars stand side by side.
    """
    x = estimates.index.to_numpy(dtype=float)
    step = float(np.diff(x).min()) if len(x) > 1 else 0.0
    mean = estimates["mean"].to_numpy()
    errors = np.array([mean - estimates["low"], estimates["high"] - mean])
    axes.errorbar(
        x + (place - 0.5) * _SPREAD * step, mean, yerr=errors, color=look.color,
        marker=look.marker, linestyle=look.linestyle, elinewidth=0.7, capsize=1.5, label=label,
    )  # fmt: skip


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
