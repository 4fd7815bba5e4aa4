"""From the trials of a finished sweep, and their confirmation, to its files; no torch."""

from collections.abc import Sequence

import optuna
import pandas as pd
import yaml

from dmp.files import write_csv, write_text
from dmp.methods import Variant
from dmp.reporting.page import Page, Table, markdown, write_page
from dmp.statistics.formatting import format_interval, format_number, format_p
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies import Plan, Scale
from dmp.sweeps.checking import make_space
from dmp.sweeps.confirmation import confirm, verdict
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import fresh_seeds
from dmp.sweeps.plots import objective_name, write_interactive, write_plots
from dmp.sweeps.schema import Sweep
from dmp.sweeps.space import LeftOut
from dmp.sweeps.storage import keep_note
from dmp.sweeps.trials import best_variants, check_finished, trials_table
from dmp.sweeps.worker import DIVERGED, IMPOSSIBLE


def write_report(plan: Plan, sweep: Sweep, files: SweepFiles, study: optuna.Study) -> None:
    """Write the table of trials, the page, ``best.yaml`` and the plots of a sweep.

    The page is also the study's note in Optuna's dashboard.

    Raises:
        DMPError: the search is not at its end, or its points are not confirmed.
    """
    check_finished(sweep, study)
    best = best_variants(sweep, study)
    seeds = fresh_seeds(sweep, plan)
    sweep = sweep.model_copy(update={"base": Variant.parse(sweep.base).name})
    hashes = {
        (variant, seed): plan.run(sweep.task, variant, seed).hash
        for variant in (sweep.base, *(variant for variant, _ in best))
        for seed in seeds
    }
    confirmed, trials = confirm(sweep, files, best, hashes), trials_table(sweep, study)
    for path, table in ((files.trials, trials), (files.confirmed, confirmed)):
        write_csv(path, table)
    write_text(files.best, _best_cells(sweep, plan.name, confirmed))
    left_out = make_space(sweep, plan, f"sweeps/{sweep.id}.yaml").left_out
    page = _page(sweep, plan.scale, left_out, trials, confirmed, seeds)
    write_page(page, files.root, sweep.id)
    keep_note(study, markdown(page))
    write_plots(sweep, plan.scale, study, files.figures)
    write_interactive(sweep, study, files.interactive)


def _page(
    sweep: Sweep,
    scale: Scale,
    left_out: Sequence[LeftOut],
    trials: pd.DataFrame,
    confirmed: pd.DataFrame,
    seeds: list[int],
) -> Page:
    """Return the page; ``seeds`` are the fresh ones."""
    names = ", ".join(parameter.name for parameter in sweep.parameters)
    sampler = {"tpe": "TPE", "qmc": "Sobol points"}[sweep.sampler.kind]
    counts = trials["state"].value_counts().sort_index()
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    sought = " and ".join(map(objective_name, sweep.objectives))
    return Page(
        title=sweep.title,
        warning=""
        if scale.conclusive
        else f"Scale '{scale.name}' is too small for any conclusion: this table shows that the "
        f"search works, and no conclusion may be drawn from its numbers.",
        introduction=[
            verdict(sweep, confirmed),
            f"Scale '{scale.name}' ({scale.title}). Task: {sweep.task}. Search over {names} for a "
            f"low {sought}, by {sampler}, with {sweep.seeds} seed{'s' if sweep.seeds > 1 else ''} "
            f"a trial. Trials: {states}.",
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


def _frame(sweep: Sweep, confirmed: pd.DataFrame) -> pd.DataFrame:
    label, name = metric_label(sweep.quality), metric_name(sweep.quality)
    rows = [
        {
            "Variant": row["variant"] + (" (base)" if rank == 0 else ""),
            "Added parameters": f"{row['added_parameters']:,.0f}",
            f"{label}, in the search (biased)": format_number(row["searched"]),
            f"{label}, confirmed": "diverged"
            if row["diverged"]
            else format_interval(row["mean"], row["low"], row["high"]),
            f"Δ {name} to base": format_interval(
                row["difference"], row["difference_low"], row["difference_high"]
            ),
            "p t test, Holm": format_p(row["p_t_holm"]),
            "Seeds": str(row["seeds"]),
        }
        for rank, row in enumerate(confirmed.to_dict("records"))
    ]
    return pd.DataFrame(rows)


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


def _notes(sweep: Sweep, trials: pd.DataFrame, confirmed: pd.DataFrame) -> list[str]:
    notes = [
        "best.yaml has these points as cells of a study; trials.csv every trial; plots.html "
        "Optuna's own plots."
    ]
    if len(sweep.objectives) > 1:
        sought = " and ".join(map(objective_name, sweep.objectives))
        notes.append(
            f"The points are of the Pareto front of {sought} as the search measured it: its ends "
            f"and points between them."
        )
    if (trials["state"] == DIVERGED).any():
        notes.append(
            "A trial that has diverged counts as worse than every number, and as a trial of the "
            "search."
        )
    if lost := int((trials["state"] == "worker lost").sum()):
        notes.append(
            f"{lost} trial{'s' if lost > 1 else ''} ended without a result, because a worker was "
            f"lost; the same points were tried again, and are counted once."
        )
    if confirmed["diverged"].any():
        notes.append("A point with a run that has diverged has no mean and no difference.")
    return notes


def _best_cells(sweep: Sweep, scale: str, confirmed: pd.DataFrame) -> str:
    """Return YAML that can be pasted into a study: the base and the best points as cells."""
    cells = [
        {
            "task": sweep.task,
            "variant": variant,
            "label": f"{sweep.id}, base" if rank == 0 else f"{sweep.id}, best {rank}",
        }
        for rank, variant in enumerate(confirmed["variant"])
    ]
    head = (
        f"# The best points of sweep '{sweep.id}' at scale '{scale}', best first, after its base.\n"
        f"# What they are worth stands in {sweep.id}.md; nothing follows from the search alone.\n"
    )
    return head + yaml.safe_dump({"cells": cells}, sort_keys=False, width=1000)
