"""The trials of a sweep as a table, and the best of them."""

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.sweeps.schema import IntParameter, Sweep
from dmp.sweeps.worker import COMPUTED, REASON, RETRIED_FROM, VARIANT, WHY, ended

# What the table calls the states of trials.
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "worker lost",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def finished_trials(sweep: Sweep, study: optuna.Study) -> list[FrozenTrial]:
    """Return all trials of a sweep that has as many results as it asks for.

    Raises:
        DMPError: it has fewer.

    """
    trials = study.get_trials(deepcopy=False)
    if (done := ended(sweep, trials)) < sweep.trials:
        raise DMPError(
            f"sweep '{sweep.id}' has {done} of {sweep.trials} trials; run its workers again"
        )
    return trials


def trials_table(sweep: Sweep, trials: list[FrozenTrial]) -> pd.DataFrame:
    """Return one row per trial, by number, whichever worker ran it.

    The columns are number, state, variant, one for each objective, ``computed`` (runs that were not
    there already), ``retried_from``, ``why`` (a point cannot exist), and one for each parameter:
    what was proposed, of which the variant's name holds three digits.
    """
    names = [parameter.name for parameter in sweep.parameters]
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        values = [None] * len(sweep.objectives)
        if trial.state == TrialState.COMPLETE:
            values = trial.values
        rows.append(
            {
                "number": trial.number,
                "state": trial.user_attrs[REASON]
                if trial.state == TrialState.PRUNED
                else _STATES[trial.state],
                "variant": trial.user_attrs.get(VARIANT, ""),
                **dict(zip(sweep.objectives, values, strict=True)),
                "computed": trial.user_attrs.get(COMPUTED),
                "retried_from": trial.user_attrs.get(RETRIED_FROM),
                "why": trial.user_attrs.get(WHY),
                **{name: trial.params.get(name) for name in names},
            }
        )
    table = pd.DataFrame(rows)
    whole = [p.name for p in sweep.parameters if isinstance(p, IntParameter)]
    # Whole numbers stay whole where some rows have none.
    return table.astype(dict.fromkeys(["computed", "retried_from", *whole], "Int64"))


def best_variants(sweep: Sweep, trials: list[FrozenTrial]) -> list[dict[str, float | str]]:
    """Return the best distinct variants, each with its values in the search.

    With one objective they are those with the least values. With several, they are of the Pareto
    front: if it has more points than are asked for, its two ends and others spread evenly between
    them, in the order of the first objective.

    Raises:
        DMPError: no trial has a value.

    """
    found: dict[str, list[float]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state == TrialState.COMPLETE:
            found.setdefault(trial.user_attrs[VARIANT], trial.values)
    if not found:
        raise DMPError(
            f"sweep '{sweep.id}': every trial was pruned, has diverged or cannot exist; there is "
            f"nothing to confirm"
        )
    ranked = sorted(found.items(), key=lambda item: (item[1], item[0]))
    if len(sweep.objectives) > 1:
        front = pareto_front([values for _, values in ranked])
        ranked = _spread([ranked[index] for index in front], sweep.confirmation.points)
    return [
        {"variant": variant, **dict(zip(sweep.objectives, values, strict=True))}
        for variant, values in ranked[: sweep.confirmation.points]
    ]


def pareto_front(values: list[list[float]]) -> list[int]:
    """Return which of some points no other is at least as good as in all and better in one."""
    return [
        index
        for index, own in enumerate(values)
        if not any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own
            for other in values
        )
    ]


def _spread(items: list, count: int) -> list:
    if len(items) <= count:
        return items
    if count == 1:
        return items[:1]
    return [items[round(step * (len(items) - 1) / (count - 1))] for step in range(count)]


def point_variant(sweep: Sweep, study: optuna.Study, point: int) -> str | None:
    """Return the base for 0, else the best variant of that rank; None if there are fewer.

    Raises:
        DMPError: the search is not at its end.

    """
    best = best_variants(sweep, finished_trials(sweep, study))
    if point == 0:
        return Variant.parse(sweep.base).name
    return str(best[point - 1]["variant"]) if point <= len(best) else None
