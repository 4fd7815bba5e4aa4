"""What a reader has to know of the baselines before any effect: their floor, their convergence."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from dmp.reporting.page import Table
from dmp.statistics.arms import Arms, Unmeasured
from dmp.statistics.contrast import Aligned, align
from dmp.statistics.formatting import format_number, format_percent
from dmp.statistics.labels import metric_name
from dmp.statistics.results import records
from dmp.studies.plan import BASELINE, DECAYED_BASELINE

_LOSS, _FID, _FLOOR = "denoising_mse", "fid", "fid_floor"


def on_both_recipes(arms: Arms, task: str, metric: str) -> Aligned | None:
    """Return a metric (decayed, paper), baseline by baseline; None where it is not known.

    The decayed recipe is the same training with the same number of iterations, in whose last part
    the learning rate falls to 0: what that changes is how far the baseline is from convergence.
    """
    try:
        return align([arms.arm(task, name, metric) for name in (DECAYED_BASELINE, BASELINE)])
    except Unmeasured:
        return None


def baseline_lines(results: pd.DataFrame, tasks: Iterable[str]) -> list[str]:
    """Return one line for each task: the floor of its FID, and how far its baselines converged.

    Args:
        results: see :mod:`dmp.statistics.results`; with the runs ``baseline`` and
            ``baseline,recipe=decayed``.
        tasks: of the page; those of which nothing is known are left out.

    Raises:
        DMPError: the results are malformed.
    """
    arms, lines = Arms(results), []
    for task in tasks:
        told, gains, count = [], [], 0
        floors = results[(results["task"] == task) & (results["metric"] == _FLOOR)]
        for row in records(floors.head(1)):
            told.append(
                f"the floor, {metric_name(_FID)} of {row.samples} held-out real images, is "
                f"{format_number(row.value)}"
            )
        for metric, name in ((_LOSS, "held-out loss"), (_FID, metric_name(_FID))):
            found = on_both_recipes(arms, task, metric)
            if found is not None:
                count = len(np.unique(found.baselines))
                gains.append(f"{name} by {_percent(found)}")
        if gains:
            told.append(
                f"letting the learning rate of its {count} baselines fall to 0 in the last part of "
                f"the same training changes {' and '.join(gains)}"
            )
        if told:
            lines.append(f"Task {task}: {'; '.join(told)}.")
    return lines


def _percent(found: Aligned) -> str:
    contrast = found.logs().contrast((1, -1))
    mean, low, high = (100 * math.expm1(x) for x in (contrast.mean, contrast.low, contrast.high))
    if math.isnan(low):
        return format_percent(mean)
    return f"{format_percent(mean)} [{format_percent(low)[:-2]}, {format_percent(high)[:-2]}]"


def baseline_table(results: pd.DataFrame, tasks: Iterable[str]) -> Table | None:
    """Return what each baseline is, and what decaying its rate still gains; None if unknown."""
    arms, rows = Arms(results), []
    for task in tasks:
        loss, fid = (on_both_recipes(arms, task, metric) for metric in (_LOSS, _FID))
        if loss is None or fid is None:
            continue
        values = zip(loss.baselines, loss.values, fid.values, strict=True)
        for baseline, (loss_decayed, loss_paper), (fid_decayed, fid_paper) in values:
            rows.append(
                {
                    "Task": task,
                    "Baseline": str(baseline),
                    "Held-out loss": f"{loss_paper:.5f}",
                    "decayed": f"{loss_decayed:.5f}",
                    "Δ": format_percent(100 * (loss_decayed / loss_paper - 1)),
                    metric_name(_FID): f"{fid_paper:.2f}",
                    f"{metric_name(_FID)}, decayed": f"{fid_decayed:.2f}",
                    f"Δ {metric_name(_FID)}": format_percent(100 * (fid_decayed / fid_paper - 1)),
                }
            )
    caption = "Each baseline, and what decaying its learning rate still changes"
    return Table(caption, pd.DataFrame(rows), text_columns=2) if rows else None
