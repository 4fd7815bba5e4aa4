"""The page of a sweep, and its best points as cells of a study."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from dmp.reporting.page import Page, Table
from dmp.statistics.formatting import MISSING, format_interval, format_number, format_p
from dmp.statistics.labels import metric_label, metric_name
from dmp.sweeps.confirmation import Confirmed
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import LeftOut
from dmp.sweeps.worker import DIVERGED, IMPOSSIBLE


def sweep_page(
    sweep: Sweep,
    scale: Any,
    left_out: Sequence[LeftOut],
    trials: pd.DataFrame,
    confirmed: list[Confirmed],
    seeds: list[int],
) -> Page:
    """Return the page of a finished sweep.

    Args:
        sweep: the sweep.
        scale: has ``name``, ``title`` and ``conclusive``.
        left_out: values that cannot exist at this scale.
        trials: from :func:`dmp.sweeps.trials.trials_table`.
        confirmed: from :func:`dmp.sweeps.confirmation.confirm`.
        seeds: the fresh seeds.

    """
    warning = ""
    if not scale.conclusive:
        warning = (
            f"Scale '{scale.name}' is too small for any conclusion: this table shows that the "
            f"search works, and no conclusion may be drawn from its numbers."
        )
    return Page(
        title=sweep.title,
        warning=warning,
        introduction=[
            f"Scale '{scale.name}' ({scale.title}). Task: {sweep.task}. {_search(sweep, trials)}",
            f"What the search measured is the best of {sweep.trials} trials, and so looks better "
            f"than the point is: nothing is concluded from it. The other columns are measured with "
            f"{len(seeds)} seeds that the search has not seen ({seeds[0]} to {seeds[-1]}), paired "
            f"by seed with the variant that the search started from.",
        ],
        tables=[
            Table(
                "The best points, confirmed: mean [95 % t interval] over fresh seeds",
                _frame(sweep, confirmed),
                text_columns=1,
            )
        ],
        notes=[*sweep.notes, *_impossible(left_out, trials), *_notes(sweep, trials, confirmed)],
    )


def _search(sweep: Sweep, trials: pd.DataFrame) -> str:
    names = ", ".join(parameter.name for parameter in sweep.parameters)
    sampler = {"tpe": "TPE", "qmc": "Sobol points"}[sweep.sampler.kind]
    counts = trials["state"].value_counts()
    states = ", ".join(f"{counts[state]} {state}" for state in sorted(counts.index))
    sought = " and ".join(_name(objective) for objective in sweep.objectives)
    return (
        f"Search over {names} for a low {sought}, by {sampler}, with {sweep.seeds} "
        f"seed{'s' if sweep.seeds > 1 else ''} a trial. Trials: {states}."
    )


def _name(objective: str) -> str:
    return "added parameters" if objective == "added_parameters" else metric_name(objective)


def _frame(sweep: Sweep, confirmed: list[Confirmed]) -> pd.DataFrame:
    label, name = metric_label(sweep.quality), metric_name(sweep.quality)
    lines = []
    for point in confirmed:
        difference = point.difference
        mean = "diverged" if point.diverged else MISSING
        if point.estimate is not None:
            mean = format_interval(point.estimate.mean, point.estimate.low, point.estimate.high)
        lines.append(
            {
                "Variant": point.variant + (" (base)" if point.searched is None else ""),
                "Added parameters": f"{point.parameters:,.0f}",
                f"{label}, in the search (biased)": MISSING
                if point.searched is None
                else format_number(point.searched),
                f"{label}, confirmed": mean,
                f"Δ {name} to base": MISSING
                if difference is None
                else format_interval(difference.mean, difference.t_low, difference.t_high),
                "p t test, Holm": format_p(point.p_holm),
                "Seeds": str(point.seeds),
            }
        )
    return pd.DataFrame(lines)


def _impossible(left_out: Sequence[LeftOut], trials: pd.DataFrame) -> list[str]:
    """Return what the file asks for and this scale does not have."""
    notes = [f"Not searched, since it cannot exist at this scale: {each}." for each in left_out]
    reasons = trials.loc[trials["state"] == IMPOSSIBLE, "why"].value_counts(sort=False)
    for reason, count in reasons.items():
        points = "1 point that was" if count == 1 else f"{count} points that were"
        notes.append(f"{points} proposed cannot exist at this scale: {reason}.")
    if len(reasons):
        notes.append("Points that cannot exist are not among the trials that were asked for.")
    return notes


def _notes(sweep: Sweep, trials: pd.DataFrame, confirmed: list[Confirmed]) -> list[str]:
    notes = [
        "best.yaml has these points as cells of a study; trials.csv every trial; plots.html "
        "Optuna's own plots.",
    ]
    if len(sweep.objectives) > 1:
        notes.append(
            f"The points are of the Pareto front of {' and '.join(map(_name, sweep.objectives))} "
            f"as the search measured it: its ends and points between them."
        )
    if (trials["state"] == DIVERGED).any():
        notes.append(
            "A trial that has diverged counts as worse than every number, and as a trial of the "
            "search."
        )
    lost = int((trials["state"] == "worker lost").sum())
    if lost:
        notes.append(
            f"{lost} trial{'s' if lost > 1 else ''} ended without a result, because a worker was "
            f"lost; the same points were tried again, and are counted once."
        )
    if any(point.diverged for point in confirmed):
        notes.append("A point with a run that has diverged has no mean and no difference.")
    return notes


def best_cells(sweep: Sweep, scale: str, confirmed: list[Confirmed]) -> str:
    """Return YAML that can be pasted into a study: the base and the best points as cells."""
    cells = [
        {
            "task": sweep.task,
            "variant": point.variant,
            "label": f"{sweep.id}, base" if rank == 0 else f"{sweep.id}, best {rank}",
        }
        for rank, point in enumerate(confirmed)
    ]
    head = (
        f"# The best points of sweep '{sweep.id}' at scale '{scale}', best first, after its base.\n"
        f"# What they are worth stands in {sweep.id}.md; nothing follows from the search alone.\n"
    )
    return head + yaml.safe_dump({"cells": cells}, sort_keys=False, width=1000)
