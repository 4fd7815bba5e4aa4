"""What stands below a study's table: how to read the numbers, and where they come from."""

import pandas as pd

from dmp.reporting.measured import BETTER, OPEN, WORSE
from dmp.statistics.formatting import format_number, format_p, format_percent
from dmp.statistics.labels import metric_name
from dmp.statistics.results import UNKNOWN
from dmp.statistics.robust import LARGEST_EXACT, RANDOM_FLIPS
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
    told = ["baseline_seed", "task", "iterations", "fid_last", "relative_change", "p_value"]
    notes = [_told(*row) for row in unconverged[told].itertuples(index=False, name=None)]
    if len(measured):
        notes += [_unit(measured), *_reading(tested), *_protocols(measured)]
    return notes


def unknown_code(results: pd.DataFrame) -> list[str]:
    """Return which runs say of no commit that computed them; nothing where all say it.

    Args:
        results: numbers with the columns of :data:`dmp.statistics.results.RESULT_COLUMNS`.
    """
    runs = results[["task", "variant", "seed", "commit"]].drop_duplicates()
    unknown = runs[runs["commit"] == UNKNOWN]
    if unknown.empty:
        return []
    first = unknown.iloc[0]
    return [
        f"Of {len(unknown)} of these {len(runs)} runs it is not known which commit of the code "
        f"computed them, nor whether files differed from it; first of them "
        f"{first.task}/{first.variant}/seed{first.seed}. Its provenance.json says why."
    ]


def _told(seed: int, task: str, iterations: int, fid: float, change: float, p_value: float) -> str:
    if not iterations:
        return (
            f"† Baseline {seed} of task {task} was not trained here: its weights "
            f"were published, and count as converged. Their FID is {format_number(fid)} "
            f"on the samples that convergence is judged by elsewhere."
        )
    return (
        f"† Baseline {seed} of task {task} had not converged after {iterations} iterations: its "
        f"FID, last {format_number(fid)}, still changed by {format_percent(100 * change)} between "
        f"the halves of its last checkpoints (p = {format_p(p_value)}). Whatever rests on it may "
        f"mix the effect of a patch with that of further training."
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
    family = tested.groupby("metric").size().max()
    return [
        " ".join(["p exact: two-sided sign-flip test.", *(_smallest_p(n) for n in sizes)]),
        f"Holm: corrected for the {family} comparisons of this study, for each metric by "
        f"itself. Intervals are not corrected. Verdict: {BETTER} or {WORSE} where the corrected t "
        f"test finds a difference at the 5 % level, else {OPEN}.",
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


def _protocols(measured: pd.DataFrame) -> list[str]:
    notes = []
    for _, rows in measured.groupby(["task", "protocol", "evaluator", "samples"], sort=False):
        names = ", ".join(metric_name(metric) for metric in dict.fromkeys(rows["metric"]))
        row = rows.iloc[0]
        notes.append(
            f"Task {row.task}: {names} by {row.evaluator} on {row.samples} samples, protocol "
            f"{row.protocol}."
        )
    return notes
