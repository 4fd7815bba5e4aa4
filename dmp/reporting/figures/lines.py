"""Drawing a mean with its band, and sharing many lines among panels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dmp.reporting.figures.style import Look

# With more lines than these, bands hide each other.
LINES_PER_PANEL = 5


def band(axes: Axes, estimates: pd.DataFrame, look: Look, label: str) -> None:
    """Draw (keys,) means as a line with markers, and their intervals, where there are any."""
    x = estimates.index.to_numpy(dtype=float)
    axes.plot(
        x, estimates["mean"], color=look.color, marker=look.marker, linestyle=look.linestyle,
        label=label,
    )  # fmt: skip
    if np.isfinite(estimates["low"]).any():
        axes.fill_between(
            x, estimates["low"], estimates["high"], color=look.color, alpha=0.15, linewidth=0
        )


def shares(items: Sequence[str]) -> list[list[str]]:
    """Share items among as few panels as hold them, as evenly as can be; one panel for none."""
    panels = max(1, -(-len(items) // LINES_PER_PANEL))
    return [list(part) for part in np.array_split(np.array(items, dtype=object), panels)]


def legend_beside(axes: Axes) -> None:
    """Put the legend to the right of a panel; constrained layout leaves room for it."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
