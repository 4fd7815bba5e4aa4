"""The two tables of a study: its cells, and its comparisons."""

from dataclasses import asdict, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.arms import Arm, Arms, Unmeasured, listed
from dmp.statistics.contrast import align
from dmp.statistics.estimates import mean_interval
from dmp.statistics.holm import holm
from dmp.statistics.paired import Difference, paired_difference
from dmp.statistics.results import typed

if TYPE_CHECKING:
    from dmp.studies.schema import Study

CELL_COLUMNS = {
    "task": "text", "variant": "text", "label": "text", "metric": "text", "mean": "number",
    "low": "number", "high": "number", "sd": "number", "seeds": "count", "unit": "text",
    "units": "count", "baseline_seeds": "text", "paper": "object", "samples": "count",
    "protocol": "text", "evaluator": "text", "status": "text",
}  # fmt: skip
COMPARISON_COLUMNS = {
    **dict.fromkeys(("task", "variant", "against", "metric"), "text"),
    **{field.name: "count" if field.name == "n" else "number" for field in fields(Difference)},
    "unit": "text", "p_exact_holm": "number", "p_t_holm": "number", "paper_effect": "number",
    "status": "text",
}  # fmt: skip
OK = "ok"


def study_arms(
    results: pd.DataFrame | Arms, study: "Study"
) -> dict[tuple[str, str, str], Arm | str]:
    """Return the arms of a study by task, variant and metric, or why a cell has no numbers.

    Whoever asks several times hands over the same :class:`Arms`, which are made once.

    Raises:
        DMPError: the results are malformed or of mixed protocols, or a cell lacks a seed that
            another cell of its task has.
    """
    measured = results if isinstance(results, Arms) else Arms(results)
    arms: dict[tuple[str, str, str], Arm | str] = {}
    seeds: dict[str, set[int]] = {cell.task: set() for cell in study.cells}
    for cell in study.cells:
        lost = measured.lost(cell.task, cell.variant)
        for metric in study.metrics:
            key = (cell.task, cell.variant, metric)
            if cell.not_run:
                arms[key] = f"not run at this scale: {cell.not_run}"
            elif lost:
                arms[key] = f"diverged: not finite in {lost[0]} of {lost[1]} seeds"
            elif metric in cell.unmeasured:
                arms[key] = cell.unmeasured[metric]
            else:
                try:
                    arm = measured.arm(*key)
                except Unmeasured as missing:
                    raise DMPError(
                        f"study {study.id}: {missing}; every cell of a task must have the same "
                        f"seeds"
                    ) from missing
                arms[key] = arm
                seeds[cell.task] |= arm.seeds
    for (task, variant, metric), arm in arms.items():
        lacking = set() if isinstance(arm, str) else seeds[task] - arm.seeds
        if lacking:
            raise DMPError(
                f"study {study.id}: task {task}, variant {variant}, metric {metric}: the results "
                f"lack {listed(lacking)}; every cell of a task must have the same seeds"
            )
    return arms


def cells(results: pd.DataFrame | Arms, study: "Study") -> pd.DataFrame:
    """Estimate every cell of a study in every metric of it.

    Args:
        results: see :mod:`dmp.statistics.results`; only rows over all timesteps are used.
            Or their :class:`Arms`, which several tables may share.
        study: as the plan has resolved it.

    Returns:
        One row per cell and metric, in the study's order, with ``CELL_COLUMNS``. ``seeds`` counts
        seeds; ``unit`` is ``seed`` or ``baseline`` and ``units`` counts those; ``baseline_seeds``
        lists the baselines, joined by ``;``; ``status`` is ``ok``, or why the cell has no numbers:
        it is not run, a run of it did not stay finite, or its task cannot have the metric.

    Raises:
        DMPError: see :func:`study_arms`.
    """
    arms = study_arms(results, study)
    table = []
    for cell in study.cells:
        for metric in study.metrics:
            arm = arms[cell.task, cell.variant, metric]
            row = {
                "task": cell.task,
                "variant": cell.variant,
                "label": cell.label,
                "metric": metric,
                "paper": cell.paper.get(metric),
                "status": arm if isinstance(arm, str) else OK,
            }
            if not isinstance(arm, str):
                estimate = mean_interval(arm.last, arm.baselines)
                row |= asdict(estimate) | {
                    "seeds": len(arm.last),
                    "unit": _unit(arm),
                    "units": estimate.n,
                    "baseline_seeds": ";".join(map(str, sorted(set(arm.baselines)))),
                    **dict(zip(("protocol", "evaluator", "samples"), arm.origin, strict=False)),
                }
            table.append(row)
    return typed(table, CELL_COLUMNS)


def comparisons(results: pd.DataFrame | Arms, study: "Study") -> pd.DataFrame:
    """Test every comparison of a study in every metric of it; arguments as for :func:`cells`.

    Returns:
        One row per comparison and metric, in the study's order, with ``COMPARISON_COLUMNS``: the
        fields of :class:`dmp.statistics.paired.Difference` for ``variant - against``; the p values
        corrected by Holm within the study, for each metric by itself; ``paper_effect``, the same
        difference in the paper's numbers; ``status`` as in the cells. Comparisons without numbers
        do not count in the correction.

    Raises:
        DMPError: as for :func:`cells`; or the two cells of a comparison do not pair.
    """
    arms = study_arms(results, study)
    paper = {(cell.task, cell.variant): cell.paper for cell in study.cells}
    table = []
    for comparison in study.comparisons:
        # The plan has given each its task.
        task, variant, against = str(comparison.task), comparison.variant, comparison.against
        for metric in study.metrics:
            a, b = arms[task, variant, metric], arms[task, against, metric]
            effect = paper_difference(
                paper[task, variant].get(metric), paper[task, against].get(metric)
            )
            row = {
                "task": task,
                "variant": variant,
                "against": against,
                "metric": metric,
                "paper_effect": np.nan if effect is None else float(effect),
                "status": OK,
            }
            if isinstance(a, str) or isinstance(b, str):
                row["status"] = a if isinstance(a, str) else b
            else:
                both = align([a, b])
                first, second = both.values.T
                row |= asdict(paired_difference(first, second, both.baselines))
                row["unit"] = _unit(a)
            table.append(row)
    frame = typed(table, COMPARISON_COLUMNS)
    for test in ("p_exact", "p_t"):
        frame[f"{test}_holm"] = frame.groupby("metric")[test].transform(holm)
    return frame


def paper_difference(a: float | str | None, b: float | str | None) -> Decimal | None:
    """Return ``a - b`` of the paper, with the digits that are printed: 5.61 - 6.26 is -0.65.

    None if either number is unknown, or is text that is not a plain number.
    """
    if a is None or b is None:
        return None
    try:
        difference = Decimal(str(a)) - Decimal(str(b))
    except InvalidOperation:
        return None
    return difference if difference.is_finite() else None


def _unit(arm: Arm) -> str:
    return "baseline" if arm.baselines.nunique() > 1 else "seed"
