"""The two tables of a study: its cells, and its comparisons."""

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd

from dmp.statistics.arms import Arms
from dmp.statistics.estimates import mean_interval
from dmp.statistics.holm import holm
from dmp.statistics.paired import Difference, paired_difference
from dmp.statistics.paper import paper_difference

CELL_COLUMNS = [
    "task", "variant", "label", "metric", "mean", "low", "high", "sd", "seeds", "unit", "units",
    "baseline_seeds", "paper", "samples", "protocol", "evaluator", "status",
]  # fmt: skip
COMPARISON_COLUMNS = [
    "task", "variant", "against", "metric", *(field.name for field in fields(Difference)), "unit",
    "p_exact_holm", "p_t_holm", "paper_effect", "status",
]  # fmt: skip
_COUNTS = {"seeds", "units", "samples", "n"}
_TEXT = {
    "task", "variant", "label", "against", "metric", "unit", "baseline_seeds", "protocol",
    "evaluator", "status",
}  # fmt: skip
OK = "ok"


def cells(results: pd.DataFrame, study: Any) -> pd.DataFrame:
    """Estimate every cell of a study in every metric of it.

    Args:
        results: see :mod:`dmp.statistics.results`; only rows over all timesteps are used.
        study: has ``id``, ``metrics`` and ``cells``; each cell has ``task``, ``variant``,
            ``label``, ``paper`` (metric to number), ``not_run`` (a reason or None) and
            ``unmeasured`` (metric to reason).

    Returns:
        One row per cell and metric, in the study's order, with ``CELL_COLUMNS``. ``seeds`` counts
        seeds; ``unit`` is ``seed`` or ``baseline`` and ``units`` counts those; ``baseline_seeds``
        lists the baselines, joined by ``;``; ``status`` is ``ok``, or why the cell has no numbers:
        it is not run, a run of it did not stay finite, or its task cannot have the metric.

    Raises:
        DMPError: the results are malformed, incomplete or of mixed protocols; see
            :class:`dmp.statistics.arms.Arms`.

    """
    arms = Arms(results, study)
    table = []
    for cell in study.cells:
        for metric in study.metrics:
            missing = arms.missing(cell.task, cell.variant, metric)
            row = {
                "task": cell.task,
                "variant": cell.variant,
                "label": cell.label,
                "metric": metric,
                "paper": cell.paper.get(metric),
                "status": missing or OK,
            }
            if not missing:
                rows = arms.arm(cell.task, cell.variant, metric)
                estimate = mean_interval(rows["value"], rows["baseline_seed"])
                baselines = sorted(rows["baseline_seed"].unique())
                row |= {
                    "mean": estimate.mean,
                    "low": estimate.low,
                    "high": estimate.high,
                    "sd": estimate.sd,
                    "seeds": len(rows),
                    "unit": _unit(rows),
                    "units": estimate.n,
                    "baseline_seeds": ";".join(map(str, baselines)),
                    "samples": rows["samples"].iloc[0],
                    "protocol": rows["protocol"].iloc[0],
                    "evaluator": rows["evaluator"].iloc[0],
                }
            table.append(row)
    return _frame(table, CELL_COLUMNS)


def comparisons(results: pd.DataFrame, study: Any) -> pd.DataFrame:
    """Test every comparison of a study in every metric of it.

    Args:
        results: as for :func:`cells`.
        study: as for :func:`cells`, with ``comparisons`` too; each has ``task``, ``variant``,
            ``against``.

    Returns:
        One row per comparison and metric, in the study's order, with ``COMPARISON_COLUMNS``: the
        fields of :class:`dmp.statistics.paired.Difference` for ``variant - against``; the p values
        corrected by Holm within the study, for each metric by itself; ``paper_effect``, the same
        difference in the paper's numbers; ``status`` as in the cells. Comparisons without numbers
        do not count in the correction.

    Raises:
        DMPError: as for :func:`cells`; or the two cells of a comparison do not pair.

    """
    arms = Arms(results, study)
    paper = {(cell.task, cell.variant): cell.paper for cell in study.cells}
    table = []
    for comparison in study.comparisons:
        task, variant, against = comparison.task, comparison.variant, comparison.against
        for metric in study.metrics:
            missing = arms.missing(task, variant, metric) or arms.missing(task, against, metric)
            effect = paper_difference(
                paper[task, variant].get(metric), paper[task, against].get(metric)
            )
            row = {
                "task": task,
                "variant": variant,
                "against": against,
                "metric": metric,
                "paper_effect": np.nan if effect is None else float(effect),
                "status": missing or OK,
            }
            if not missing:
                a, b = arms.pair(task, variant, against, metric)
                difference = paired_difference(a["value"], b["value"], a["baseline_seed"])
                row |= asdict(difference) | {"unit": _unit(a)}
            table.append(row)
    frame = _frame(table, COMPARISON_COLUMNS)
    for test in ("p_exact", "p_t"):
        frame[f"{test}_holm"] = frame.groupby("metric")[test].transform(holm)
    return frame


def _unit(rows: pd.DataFrame) -> str:
    return "baseline" if rows["baseline_seed"].nunique() > 1 else "seed"


def _frame(table: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(table, columns=columns)
    # Types that do not depend on what was run: counts stay integers beside a cell without one.
    for name in columns:
        if name in _COUNTS:
            frame[name] = frame[name].astype("Int64")
        elif name in _TEXT:
            frame[name] = frame[name].astype(object).fillna("")
        elif name == "paper":
            frame[name] = frame[name].astype(object)
        else:
            frame[name] = frame[name].astype(float)
    return frame
