"""The trials of a sweep as a table, and the best of them."""

import optuna
import pandas as pd
from optuna.trial import TrialState

from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.sweeps.parameters import IntParameter
from dmp.sweeps.schema import Sweep
from dmp.sweeps.worker import REASON, VARIANT, ended

# What the table calls the states of trials; one that was pruned has a reason.
_STATES = {
    "COMPLETE": "complete",
    "FAIL": "worker lost",
    "RUNNING": "running",
    "WAITING": "waiting",
}


def check_finished(sweep: Sweep, study: optuna.Study) -> None:
    """Check that a sweep has as many results as it asks for.

    Raises:
        DMPError: it has fewer.
    """
    if (done := ended(sweep, study.get_trials(deepcopy=False))) < sweep.trials:
        raise DMPError(
            f"sweep '{sweep.id}' has {done} of {sweep.trials} trials; run its workers again"
        )


def trials_table(sweep: Sweep, study: optuna.Study) -> pd.DataFrame:
    """Return one row per trial, by number, whichever worker ran it.

    The columns are number, state, variant, one for each objective, ``computed`` (runs that were not
    there already), ``retried_from``, ``why`` (a point cannot exist), and one for each parameter:
    what was proposed, of which the variant's name holds three digits.
    """
    found = study.trials_dataframe(
        ("number", "state", "value", "user_attrs", "params"), multi_index=True
    )
    found.columns = [inner or outer for outer, inner in found.columns]
    names = [parameter.name for parameter in sweep.parameters]
    attributes = ["computed", "retried_from", "why"]
    objectives: list[str] = list(sweep.objectives)
    columns = ["number", "state", VARIANT, *objectives, *attributes, *names]
    table = found.reindex(columns=columns)
    # Optuna takes the last loss on the way for the value of a trial that was pruned.
    table.loc[found["state"] != "COMPLETE", objectives] = float("nan")
    pruned = found["state"] == "PRUNED"
    table["state"] = found["state"].map(_STATES)
    if pruned.any():
        table.loc[pruned, "state"] = found.loc[pruned, REASON]
    whole = [p.name for p in sweep.parameters if isinstance(p, IntParameter)]
    # Whole numbers stay whole where some rows have none.
    return table.astype(dict.fromkeys(["computed", "retried_from", *whole], "Int64"))


def best_variants(sweep: Sweep, study: optuna.Study) -> list[tuple[str, list[float]]]:
    """Return the best distinct variants, each with its values in the search.

    With one objective they are those with the least values. With several, they are of the Pareto
    front: if it has more points than are asked for, its two ends and others spread evenly between
    them, in the order of the first objective.

    Raises:
        DMPError: no trial has a value.
    """
    several = len(sweep.objectives) > 1
    trials = study.best_trials if several else study.get_trials(states=(TrialState.COMPLETE,))
    values = {trial.user_attrs[VARIANT]: list(trial.values or ()) for trial in trials}
    ranked = sorted(values.items(), key=lambda item: (item[1], item[0]))
    if not ranked:
        raise DMPError(
            f"sweep '{sweep.id}': every trial was pruned, has diverged or cannot exist; there is "
            f"nothing to confirm"
        )
    count, last = sweep.confirmation.points, len(ranked) - 1
    if several and 1 < count <= last:
        return [ranked[round(step * last / (count - 1))] for step in range(count)]
    return ranked[:count]


def point_variant(sweep: Sweep, study: optuna.Study, point: int) -> str | None:
    """Return the base for 0, else the best variant of that rank; None if there are fewer.

    Raises:
        DMPError: the search is not at its end.
    """
    check_finished(sweep, study)
    best = best_variants(sweep, study)
    if point == 0:
        return Variant.parse(sweep.base).name
    return best[point - 1][0] if point <= len(best) else None
