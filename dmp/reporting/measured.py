"""What a study measured, in the primary metric beside the paper's numbers, and in the others."""

import pandas as pd

from dmp.reporting.document import Table
from dmp.statistics.formatting import MISSING, format_interval, format_paper
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records
from dmp.statistics.study import OK, paper_difference

UNCONVERGED = " †"
BETTER, WORSE, OPEN, DIFFERENT = "✓ better", "✗ worse", "○ open", "≠ different"
_BASELINE = "baseline"
_LEVEL = 0.05
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def footnotes(cells: pd.DataFrame) -> dict[str, str]:
    """Return the mark of each reason why a cell has no numbers."""
    reasons = dict.fromkeys(cells["status"][cells["status"] != OK])
    return {reason: str(k).translate(_SUPERSCRIPT) for k, reason in enumerate(reasons, start=1)}


def absent(status: str, why: dict[str, str]) -> str:
    """Return what stands in place of a number, as in ``not run¹``."""
    return status.split(":")[0].removesuffix(" at this scale") + why[status]


def cell_tables(
    metrics: list[str],
    cells: pd.DataFrame,
    comparisons: pd.DataFrame,
    marked: set[str],
    why: dict[str, str],
) -> list[Table]:
    """Return the primary metric beside the paper's, and a table of the other metrics."""
    primary, *further = metrics
    name, label = metric_name(primary), metric_label(primary)
    found = {(row.task, row.variant, row.metric): row for row in records(cells)}
    differences = {
        (row.task, row.variant): row
        for row in records(comparisons)
        if row.metric == primary and row.against == _BASELINE and row.status == OK
    }
    lines, others = [], []
    for cell in records(cells[cells["metric"] == primary]):
        run = cell.status == OK
        baseline = found.get((cell.task, _BASELINE, primary))
        effect = None
        if baseline is not None and cell.variant != _BASELINE:
            effect = paper_difference(cell.paper, baseline.paper)
        difference = differences.get((cell.task, cell.variant))
        delta, verdict = MISSING, MISSING
        if difference is not None:
            delta = format_interval(difference.mean, difference.t_low, difference.t_high)
            verdict = _verdict(difference.mean, difference.p_t_holm, label)
        named = {
            "Task": cell.task,
            "Method": cell.label + (UNCONVERGED if run and cell.task in marked else ""),
        }
        here = format_interval(cell.mean, cell.low, cell.high) if run else absent(cell.status, why)
        lines.append(
            {
                **named,
                f"{label}, here": here,
                f"Δ {name} to baseline, here": delta,
                "Verdict": verdict,
                f"{name}, paper": format_paper(cell.paper),
                f"Δ {name} to baseline, paper": format_paper(effect),
                "Seeds": str(cell.seeds) if run else MISSING,
            }
        )
        values = {metric: found[cell.task, cell.variant, metric] for metric in further}
        if run and values:
            shown = {
                metric_label(metric): format_interval(row.mean, row.low, row.high)
                for metric, row in values.items()
            }
            others.append({**named, **shown})
    caption = "Measured here: mean [95 % t interval]; the paper's numbers as printed"
    marks = ", ".join((BETTER, WORSE, OPEN)) + ", by the corrected t test."
    legend = " ".join([marks, *(f"{mark} {status}." for status, mark in why.items())])
    frame = pd.DataFrame(lines)
    narrow = frame.iloc[:, :-1]
    narrow = narrow.set_axis(["Task", "Method", label, f"Δ {name}", "", "Paper", "Δ paper"], axis=1)
    narrow = narrow.assign(
        **{label: narrow[label].str.split(" [", regex=False).str[0], "": narrow[""].str[0]}
    )
    tables = [Table(caption, frame, 2, narrow, legend)]
    if others:
        tables.append(Table("The other metrics, likewise", pd.DataFrame(others), 2))
    return tables


def _verdict(mean: float, p_t_holm: float, label: str) -> str:
    """Return what the t test says of a difference, corrected for the study's comparisons."""
    if not p_t_holm < _LEVEL:
        return OPEN
    if label[-1] not in "↓↑":
        return DIFFERENT
    return BETTER if (mean < 0) == label.endswith("↓") else WORSE
