"""A row for each variant: its change in percent as a dot, with its interval."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from dmp.reporting.figures.lines import percent_limits, percent_scale, zero_line
from dmp.reporting.figures.style import Look

ROW = 0.24
"""Inches: the height of a row."""


class Row(NamedTuple):
    """A row of dots.

    Attributes:
        estimates: ``mean``, ``low`` and ``high`` of each dot; the last is filled, others are open
            and stand above it.
    """

    label: str
    look: Look
    estimates: pd.DataFrame


def dots(axes: Axes, rows: Sequence[Row], threshold: float) -> None:
    """Draw rows from the top; the axis is that of :func:`percent_scale`."""
    for y, row in enumerate(rows):
        count = len(row.estimates)
        for k, (mean, low, high) in enumerate(row.estimates.to_numpy(dtype=float)):
            last = k == count - 1
            errors = [[mean - low], [high - mean]]
            axes.errorbar(
                mean, y + (0.14 * (2 * k - count + 1)), xerr=errors, color=row.look.color,
                marker=row.look.marker, mfc=None if last else "white", elinewidth=0.9, capsize=2,
                linestyle="none", alpha=1 if last else 0.7,
            )  # fmt: skip
    values = pd.concat([row.estimates for row in rows]).to_numpy(dtype=float)
    percent_scale(axes, "x", threshold)
    axes.set_xlim(percent_limits(values, threshold))
    zero_line(axes, "x")
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
