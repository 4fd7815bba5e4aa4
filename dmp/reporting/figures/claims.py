"""The evidence on claims at a glance: a line for each claim, all of it, and the paper against ours.

All draw the table of :func:`dmp.claims.evaluate.evaluate`, one metric of it.
"""

import textwrap
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmp.claims.measurement import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED
from dmp.claims.summary import deciding
from dmp.reporting.compared import Piece
from dmp.reporting.figures.lines import percent_limits, percent_rows, percent_scale
from dmp.reporting.figures.style import GREY, WIDTH, empty_figure, finish, looks, styled
from dmp.statistics.formatting import format_interval
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records, require_columns
from dmp.studies.schema import Scale

_EFFECTS = ["effect", "low", "high", "paper_effect"]
_COLUMNS = ["claim", "recipe", "test", "task", "variant", "against", "metric", *_EFFECTS, "verdict"]
PRIMARY = "fid"
_VERDICTS = {SUPPORTED: ("#0072B2", "o"), CONTRADICTED: ("#D55E00", "s"), INCONCLUSIVE: (GREY, "^")}
_UNTESTED = ("0.75", "o")
# Percent: about what is relevant.
_THRESHOLD = 1
_BEYOND = 1e9
_ROW, _GAP, _LINE = 0.155, 0.6, 0.37
_LABEL, _STATEMENT = 56, 58


@styled
def forest(
    evaluated: pd.DataFrame,
    summary: pd.DataFrame,
    scale: Scale,
    metric: str = PRIMARY,
    what: str = "the paper's claims",
) -> Figure:
    """Draw a line for each claim: the piece of evidence that decides on it, and the verdict.

    Args:
        evaluated: from :func:`dmp.claims.evaluate.evaluate`.
        summary: from :func:`dmp.claims.summary.summarise`, of the same claims.
        metric: the endpoint.
        what: whose claims they are.
    """
    title = f"What the results say about {what}"
    rows = _counted(evaluated, "endpoint", metric)
    pieces = {claim: deciding(list(records(own))) for claim, own in rows.groupby("claim")}
    claims = [row for row in records(summary) if row.claim in pieces]
    if not claims:
        return empty_figure(title, scale, ["No evidence counts for this endpoint."])
    figure = Figure(figsize=(WIDTH, _LINE * len(claims) + 0.7))
    axes = figure.subplots()
    drawn: list[Piece] = [pieces[row.claim] for row in claims]
    for y, (claim, piece) in enumerate(zip(claims, drawn, strict=True)):
        color, _ = _VERDICTS.get(claim.verdict, _UNTESTED)
        _draw_row(axes, y, piece)
        told = claim.verdict
        if np.isfinite(piece.effect):
            found = format_interval(piece.effect, piece.low, piece.high)
            told += f"\n{metric_name(piece.metric)} {found} %"
        axes.text(
            1.02, y, told, transform=axes.get_yaxis_transform(), va="center", fontsize=6.5,
            color="0.3" if claim.verdict == NOT_TESTED else color,
        )  # fmt: skip
    names = [textwrap.fill(f"{row.claim}  {row.statement}", _STATEMENT) for row in claims]
    values = np.array([[getattr(piece, name) for name in _EFFECTS] for piece in drawn], dtype=float)
    percent_rows(axes, values, _THRESHOLD, range(len(names)), names, fontsize=6.5, ha="left")
    # As long as the longest label, which are set flush left.
    axes.tick_params(axis="y", pad=205)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("Effect / % of what it is compared with")
    _legend(axes, [row.verdict for row in claims])
    smaller = f" Smaller {metric_name(metric)} is better." if "↓" in metric_label(metric) else ""
    notes = [
        f"The piece of evidence that decides each claim, with its 95 % interval. Effects are on "
        f"{metric_name(metric)}, or on what the right column names where a claim is about "
        f"something else.{smaller} A claim without a mark has no effect in percent. The axis is "
        f"linear within ±{_THRESHOLD} % and logarithmic beyond."
    ]
    return finish(figure, title, scale, notes)


@styled
def all_evidence(
    evaluated: pd.DataFrame, scale: Scale, metric: str = PRIMARY, what: str = "the paper's claims"
) -> Figure:
    """Draw each piece of evidence on one metric: effect in percent with 95 % interval.

    Evidence is grouped by claim. The marker tells the verdict; an open diamond is the paper's own
    effect.
    """
    title = f"All evidence on {what}: {metric_name(metric)}"
    rows, notes = _evidence(evaluated, metric)
    if rows.empty:
        return empty_figure(title, scale, notes)
    labels = [_label(row) for row in records(rows)]
    places = _places(rows["claim"].tolist(), [text.count("\n") + 1 for text in labels])
    figure = Figure(figsize=(WIDTH, _ROW * (places[-1] + 1) + 1.1))
    axes = figure.subplots()
    for y, row in zip(places, records(rows), strict=True):
        _draw_row(axes, y, row)
    values = rows[_EFFECTS].to_numpy(dtype=float)
    percent_rows(axes, values, _THRESHOLD, places, labels, fontsize=6.5)
    axes.set_ylim(places[-1] + 1, -0.8)
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
    _legend(axes, rows["verdict"].tolist())
    notes.append(f"The axis is linear within ±{_THRESHOLD} % and logarithmic beyond.")
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
    _quadrants(axes, rows)
    _name_points(axes, rows)
    axes.set_xlabel("Effect in the paper / % of what it is compared with")
    axes.set_ylabel("Effect here / % of what it is compared with")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    product = rows["paper_effect"].astype(float) * rows["effect"]
    directed = product[product != 0]
    notes = [
        f"{int((directed > 0).sum())} of {len(directed)} effects have the paper's direction, "
        f"whatever their interval. On the dashed line an effect has the paper's size. Small "
        f"labels are claims, where there is room for one. Intervals are 95 %; the paper has none. "
        f"Axes are linear within ±{_THRESHOLD} % and logarithmic beyond."
    ]
    return finish(figure, title, scale, notes)


def _counted(evaluated: pd.DataFrame, column: str, metric: str) -> pd.DataFrame:
    """Return the evidence on one metric, on the recipe that verdicts count for: the first."""
    require_columns(evaluated, [*_COLUMNS, column], "the table of evidence")
    counts = evaluated["recipe"].isin(evaluated["recipe"].head(1))
    return evaluated[(evaluated[column] == metric) & counts]


def _evidence(evaluated: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, list[str]]:
    rows = _counted(evaluated, "metric", metric)
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


def _label(row: Piece) -> str:
    compared = f" − {row.against}" if row.against else ""
    kind = "" if row.test == "difference" else f" ({row.test})"
    text = f"{row.task}: {row.variant}{compared}{kind}"
    return textwrap.fill(text, _LABEL, break_on_hyphens=False)


def _draw_row(axes: Axes, y: float, row: Piece) -> None:
    color, marker = _VERDICTS.get(row.verdict, _UNTESTED)
    if not np.isnan(row.low):
        # Without an end, it goes through the edge of the axes.
        ends = np.clip([row.low, row.high], -_BEYOND, _BEYOND)
        axes.plot(ends, [y, y], color=color, linewidth=1.2, zorder=2)
    if np.isfinite(row.effect):
        axes.plot(row.effect, y, marker=marker, color=color, zorder=3)
    if np.isfinite(row.paper_effect):
        axes.plot(
            row.paper_effect, y, marker="D", color="black", markerfacecolor="none",
            markersize=5.5, linestyle="none", zorder=5,
        )  # fmt: skip


def _legend(axes: Axes, verdicts: Sequence[str]) -> None:
    for verdict, (color, marker) in _VERDICTS.items():
        count = verdicts.count(verdict)
        axes.plot([], [], color=color, marker=marker, label=f"{verdict} ({count})")
    axes.plot(
        [], [], color="black", marker="D", mfc="none", linestyle="none", label="the paper's effect"
    )
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _name_points(axes: Axes, rows: pd.DataFrame) -> None:
    """Write claims beside points, unless a name would cover another name or a point."""
    at = axes.transData.transform(rows[["paper_effect", "effect"]].to_numpy(dtype=float))
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in at]
    for own, (row, (x, y)) in enumerate(zip(records(rows), at, strict=True)):
        box = x + 4, y + 3, x + 8 + 5.5 * len(row.claim), y + 16
        if not any(
            box[0] < right and left < box[2] and box[1] < top and bottom < box[3]
            for k, (left, bottom, right, top) in enumerate(taken)
            if k != own
        ):
            taken.append(box)
            axes.annotate(
                row.claim, (row.paper_effect, row.effect), (4, 3),
                textcoords="offset points", fontsize=6, color="0.3",
            )  # fmt: skip


def _quadrants(axes: Axes, rows: pd.DataFrame) -> None:
    values = rows[_EFFECTS].to_numpy(dtype=float)
    end = max(map(abs, percent_limits(values, _THRESHOLD)))
    percent_scale(axes, "x", _THRESHOLD)
    percent_scale(axes, "y", _THRESHOLD)
    axes.set_xlim(-end, end)
    axes.set_ylim(-end, end)
    axes.plot([-end, end], [-end, end], color=GREY, linestyle=(0, (5, 3)), linewidth=1, zorder=0)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    # The quadrants of the opposite direction are shaded.
    axes.fill_between([-end, 0], 0, end, color="0.95", zorder=-1, linewidth=0)
    axes.fill_between([0, end], -end, 0, color="0.95", zorder=-1, linewidth=0)
    for x, y, text in (
        (0.2, 0.02, "same direction"), (0.51, 0.98, "same direction"),
        (0.02, 0.98, "opposite direction"), (0.98, 0.02, "opposite direction"),
    ):  # fmt: skip
        axes.text(
            x, y, text, transform=axes.transAxes, ha="left" if x < 0.6 else "right",
            va="bottom" if y < 0.5 else "top", color="0.35", style="italic",
        )  # fmt: skip
