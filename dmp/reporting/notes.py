"""What stands below a study's table: how to read the numbers, and where they come from."""

import pandas as pd

from dmp.reporting.labels import metric_name
from dmp.reporting.numbers import format_number, format_p
from dmp.statistics.paired import LARGEST_EXACT, RANDOM_FLIPS
from dmp.statistics.study import OK


def study_notes(
    cells: pd.DataFrame, comparisons: pd.DataFrame, unconverged: pd.DataFrame
) -> list[str]:
    """Return the notes, most important first.

    Args:
        cells: from :func:`dmp.statistics.study.cells`.
        comparisons: from :func:`dmp.statistics.study.comparisons`.
        unconverged: the rows of the table of baselines that the † in the table stands for.

    """
    measured = cells[cells["status"] == OK]
    tested = comparisons[comparisons["status"] == OK]
    notes = [_told(row) for _, row in unconverged.iterrows()]
    if len(measured):
        notes += [_unit(measured), *_reading(tested)]
        notes += _protocols(measured)
    return notes


def _told(row: pd.Series) -> str:
    if row["iterations"]:
        return _not_converged(row)
    return (
        f"† Baseline {row['baseline_seed']} of task {row['task']} was not trained here: its "
        f"weights were published, and count as converged. Their FID is "
        f"{format_number(row['fid_last'])} on the samples that convergence is judged by elsewhere."
    )


def _not_converged(row: pd.Series) -> str:
    change = f"{100 * row['relative_change']:+.1f} %".replace("-", "−")
    return (
        f"† Baseline {row['baseline_seed']} of task {row['task']} had not converged after "
        f"{row['iterations']} iterations: its FID, last {format_number(row['fid_last'])}, still "
        f"changed by {change} between the halves of its last checkpoints "
        f"(p = {format_p(row['p_value'])}). Whatever rests on it may mix the effect of a patch "
        f"with that of further training."
    )


def _unit(measured: pd.DataFrame) -> str:
    parts = []
    for unit, n in measured[["unit", "units"]].drop_duplicates().itertuples(index=False):
        if n == 1:
            parts.append("one seed, so that there is no interval and no test")
        elif unit == "seed":
            parts.append(
                f"the seed, n = {n}, all seeds of a task resting on one baseline: intervals and "
                f"tests do not cover how baselines differ"
            )
        else:
            parts.append(
                f"the baseline, n = {n}: seeds of one baseline are averaged, since they share it"
            )
    return f"Unit of inference: {'; or '.join(parts)}."


def _reading(tested: pd.DataFrame) -> list[str]:
    """Return how to read the comparisons; nothing where none has more than one unit."""
    sizes = sorted(int(n) for n in tested["n"].unique() if n > 1)
    if not sizes:
        return []
    return [
        " ".join(["p exact: two-sided sign-flip test.", *(_smallest_p(n) for n in sizes)]),
        f"Holm: corrected for the {_family(tested)} comparisons of this study, for each metric by "
        f"itself. Intervals are not corrected.",
        "t interval and t test take the differences for normal. The bootstrap interval (BCa) does "
        "not, but is too narrow where there are few units; with fewer than 3 there is none.",
        "Effect size g: mean over standard deviation of the paired differences, with Hedges' "
        "correction; with fewer than 3 units there is none. Smallest detectable: the true "
        "difference that a paired t test at the 5 % level, not corrected, would find with 80 % "
        "power at the observed standard deviation.",
    ]


def _smallest_p(n: int) -> str:
    if n > LARGEST_EXACT:
        return f"With n = {n} it is estimated from {RANDOM_FLIPS:,} random assignments of signs."
    smallest = 2 / 2**n
    beyond = ", so that this test cannot reach 0.05" if smallest > 0.05 else ""
    return f"With n = {n} the smallest p attainable is 2/2^{n} = {smallest:.4g}{beyond}."


def _family(tested: pd.DataFrame) -> int:
    return int(tested.groupby("metric").size().max())


def _protocols(measured: pd.DataFrame) -> list[str]:
    notes = []
    for (task, protocol, evaluator, samples), rows in measured.groupby(
        ["task", "protocol", "evaluator", "samples"], sort=False
    ):
        names = ", ".join(metric_name(metric) for metric in dict.fromkeys(rows["metric"]))
        notes.append(
            f"Task {task}: {names} by {evaluator} on {samples} samples, protocol {protocol}."
        )
    return notes
