"""The evidence on the paper's claims at a glance: a forest plot, and the paper against ours.

Both draw the table of :func:`dmp.claims.evaluate.evaluate`, one metric of it.
"""

import textwrap
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmp.claims.measurement import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED
from dmp.reporting.figures.style import GREY, WIDTH, empty_figure, finish, looks, styled
from dmp.statistics.labels import metric_name
from dmp.statistics.results import records, require_columns
from dmp.studies.schema import Scale

_EFFECTS = ["effect", "low", "high", "paper_effect"]
_COLUMNS = ["claim", "recipe", "test", "task", "variant", "against", "metric", *_EFFECTS, "verdict"]
PRIMARY = "fid"
_VERDICTS = {SUPPORTED: ("#0072B2", "o"), CONTRADICTED: ("#D55E00", "s"), INCONCLUSIVE: (GREY, "^")}
# Of the numbers on each side of zero, so many stay inside the axis; the rest become arrows.
_INSIDE = 0.9
_SMALLEST_LIMIT = 5.0
_ROW, _GAP = 0.155, 0.6
_LABEL = 56
_TICKS = (5, 10, 20, 50, 100, 200, 500, 1000)


@styled
def forest(
    evaluated: pd.DataFrame, scale: Scale, metric: str = PRIMARY, what: str = "the paper's claims"
) -> Figure:
    """Draw each piece of evidence on the primary metric: effect in percent with 95 % interval.

    Evidence is grouped by claim. The marker tells the verdict; an open diamond is the paper's own
    effect. What lies far outside becomes an arrow at the edge, with its number.
    """
    title = f"Evidence on {what}: {metric_name(metric)}"
    rows, notes = _evidence(evaluated, metric)
    if rows.empty:
        return empty_figure(title, scale, notes)
    labels = [_label(row) for row in records(rows)]
    places = _places(rows["claim"].tolist(), [text.count("\n") + 1 for text in labels])
    figure = Figure(figsize=(WIDTH, _ROW * (places[-1] + 1) + 1.1))
    axes = figure.subplots()
    limits = axis_limits(rows)
    for y, row in zip(places, records(rows), strict=True):
        _draw_row(axes, y, row, limits)
    axes.axvline(0, color=GREY, linewidth=1, zorder=0)
    axes.set_xlim(limits)
    axes.set_ylim(places[-1] + 1, -0.8)
    axes.set_yticks(places, labels, fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    pairs = groupby(zip(rows["claim"], places, strict=True), lambda pair: pair[0])
    groups = [(claim, [y for _, y in own]) for claim, own in pairs]
    for (_, above), (_, below) in pairwise(groups):
        axes.axhline((above[-1] + below[0]) / 2, color="0.8", linewidth=0.6)
    for claim, own in groups:
        axes.text(
            1.02, (own[0] + own[-1]) / 2, claim, transform=axes.get_yaxis_transform(),
            va="center", fontsize=7,
        )  # fmt: skip
    axes.set_xlabel(f"Effect on {metric_name(metric)} / % of what it is compared with")
    _legend(axes, rows)
    return finish(figure, title, scale, notes)


@styled
def paper_against_ours(evaluated: pd.DataFrame, scale: Scale, metric: str = PRIMARY) -> Figure:
    """Draw our relative effects, with 95 % intervals, against the paper's.

    Points on the diagonal have the paper's size; those in the white quadrants its direction.
    Evidence that serves several claims is one point.
    """
    title = f"Effects in the paper and here: {metric_name(metric)}"
    rows, notes = _evidence(evaluated, metric)
    rows = rows[np.isfinite(rows["paper_effect"].astype(float))]
    # One test may be evidence for several claims.
    same = ["test", "task", "variant", "against", "paper_effect"]
    names = rows.groupby(same, sort=False)["claim"].transform(lambda own: ", ".join(own.unique()))
    rows = rows.assign(claim=names).drop_duplicates(same)
    if rows.empty:
        return empty_figure(title, scale, ["No evidence has both the paper's effect and ours."])
    figure = Figure(figsize=(WIDTH, 4.6))
    axes = figure.subplots()
    for task, look in looks(rows["task"]).items():
        own = rows[rows["task"] == task]
        x, y = own["paper_effect"].to_numpy(float), own["effect"].to_numpy(float)
        errors = np.array([y - own["low"], own["high"] - y], dtype=float)
        axes.errorbar(
            x, y, yerr=errors, color=look.color, marker=look.marker, linestyle="none",
            elinewidth=0.8, capsize=2, label=task,
        )  # fmt: skip
    for row in records(rows):
        axes.annotate(
            row.claim, (row.paper_effect, row.effect), (4, 3),
            textcoords="offset points", fontsize=6, color="0.3",
        )  # fmt: skip
    _quadrants(axes, rows)
    axes.set_xlabel("Effect in the paper / % of what it is compared with")
    axes.set_ylabel("Effect here / % of what it is compared with")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    product = rows["paper_effect"].astype(float) * rows["effect"]
    directed = product[product != 0]
    notes = [
        f"{int((directed > 0).sum())} of {len(directed)} effects have the paper's direction, "
        f"whatever their interval. On the dashed line an effect has the paper's size. Small labels "
        f"are claims. Intervals are 95 %; the paper has none."
    ]
    return finish(figure, title, scale, notes)


def axis_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the limits in percent between which nine tenths of the numbers on each side lie."""
    values = rows[_EFFECTS].to_numpy(dtype=float).reshape(-1)
    values = values[np.isfinite(values)]
    ends = []
    for side in (-values[values < 0], values[values > 0]):
        largest = float(side.max(initial=0))
        most = float(np.quantile(side, _INSIDE)) if len(side) else 0.0
        # With a little more room for all of them, nothing is cut off.
        end = largest if largest <= 1.5 * most else most
        ends.append(1.1 * max(end, _SMALLEST_LIMIT))
    return -ends[0], ends[1]


def _evidence(evaluated: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, list[str]]:
    require_columns(evaluated, _COLUMNS, "the table of evidence")
    # On the recipe that the verdicts count for, which comes first.
    counts = evaluated["recipe"] == evaluated["recipe"].iloc[0] if len(evaluated) else []
    rows = evaluated[(evaluated["metric"] == metric) & counts]
    drawn = rows[np.isfinite(rows["effect"].astype(float))]
    drawn = drawn[drawn["verdict"].isin(_VERDICTS)]
    left = rows.drop(drawn.index)
    if left.empty:
        return drawn, ([] if len(rows) else ["No evidence is about this metric."])
    why = "not tested" if (left["verdict"] == NOT_TESTED).all() else "not tested, or without a size"
    return drawn, [
        f"{len(left)} of {len(rows)} pieces of evidence on {metric_name(metric)} are left out, "
        f"being {why}: {', '.join(dict.fromkeys(left['claim']))}."
    ]


def _places(claims: list[str], lines: list[int]) -> list[float]:
    """Return where the middle of each row lies, from the top, with a gap between claims."""
    places = [0.0]
    for (one, above), (other, below) in pairwise(zip(claims, lines, strict=True)):
        places.append(places[-1] + (above + below) / 2 + (0 if one == other else _GAP))
    return places


def _label(row: Any) -> str:
    compared = f" − {row.against}" if row.against else ""
    kind = "" if row.test == "difference" else f" ({row.test})"
    text = f"{row.task}: {row.variant}{compared}{kind}"
    return textwrap.fill(text, _LABEL, break_on_hyphens=False)


def _draw_row(axes: Axes, y: float, row: Any, limits: tuple[float, float]) -> None:
    color, marker = _VERDICTS[row.verdict]
    low, high = limits
    if np.isfinite(row.low):
        axes.plot(
            np.clip([row.low, row.high], low, high), [y, y], color=color,
            linewidth=1.2, zorder=2,
        )  # fmt: skip
    far = {"<": [], ">": []}
    # A point or an end of its interval may lie outside; the number is the point's.
    for value, text in (
        (row.low, ""),
        (row.high, ""),
        (row.effect, f"{row.effect:+.0f} %"),
        (row.paper_effect, f"paper {row.paper_effect:+.0f} %"),
    ):
        if value < low or value > high:
            far["<" if value < low else ">"].append(text)
    for arrow, texts in far.items():
        if texts:
            edge, inward = (low, 1) if arrow == "<" else (high, -1)
            axes.plot(edge, y, marker=arrow, color=color, clip_on=False, zorder=4)
            axes.annotate(
                ", ".join(filter(None, texts)).replace("-", "−"), (edge, y), (6 * inward, 0),
                textcoords="offset points", ha="left" if inward > 0 else "right", va="bottom",
                fontsize=6,
            )  # fmt: skip
    if low <= row.effect <= high:
        axes.plot(row.effect, y, marker=marker, color=color, zorder=3)
    if low <= row.paper_effect <= high:
        axes.plot(
            row.paper_effect, y, marker="D", color="black", markerfacecolor="none",
            markersize=5.5, linestyle="none", zorder=5,
        )  # fmt: skip


def _legend(axes: Axes, rows: pd.DataFrame) -> None:
    for verdict, (color, marker) in _VERDICTS.items():
        count = int((rows["verdict"] == verdict).sum())
        axes.plot([], [], color=color, marker=marker, label=f"{verdict} ({count})")
    axes.plot(
        [], [], color="black", marker="D", mfc="none", linestyle="none", label="the paper's effect"
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _quadrants(axes: Axes, rows: pd.DataFrame) -> None:
    values = rows[_EFFECTS].to_numpy(dtype=float)
    end = 1.15 * max(float(np.nanmax(np.abs(values))), _SMALLEST_LIMIT)
    if end > 40:
        axes.set_xscale("symlog", linthresh=10)
        axes.set_yscale("symlog", linthresh=10)
        ticks = [tick for tick in _TICKS if tick < end]
        ticks = [*(-tick for tick in reversed(ticks)), 0, *ticks]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([], minor=True)
            axis.set_ticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    axes.set_xlim(-end, end)
    axes.set_ylim(-end, end)
    axes.plot([-end, end], [-end, end], color=GREY, linestyle=(0, (5, 3)), linewidth=1, zorder=0)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    # The quadrants of the opposite direction are shaded.
    axes.fill_between([-end, 0], 0, end, color="0.95", zorder=-1, linewidth=0)
    axes.fill_between([0, end], -end, 0, color="0.95", zorder=-1, linewidth=0)
    for x, y, text in (
        (0.2, 0.02, "same direction"), (0.8, 0.98, "same direction"),
        (0.02, 0.98, "opposite direction"), (0.98, 0.02, "opposite direction"),
    ):  # fmt: skip
        axes.text(
            x, y, text, transform=axes.transAxes, ha="left" if x < 0.5 else "right",
            va="bottom" if y < 0.5 else "top", color="0.35", style="italic",
        )  # fmt: skip
