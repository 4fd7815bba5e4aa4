"""Where the noise of a comparison comes from, and what pairing removes of it."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.statistics.arms import Arm, Arms
from dmp.statistics.contrast import align
from dmp.statistics.paired import ALPHA, POWER, units_needed
from dmp.statistics.study import study_arms

if TYPE_CHECKING:
    from dmp.studies.schema import Study

# The difference, in percent of the mean, for which seeds are counted.
RELATIVE_EFFECT = 5.0
LARGE = 1000  # seeds
VARIANCE_COLUMNS = [
    "metric", "mean", "sd_sampling", "sd_training", "sd_both", "sd_unpaired", "sd_paired",
    "removed_percent", "seeds_unpaired", "seeds_paired",
]  # fmt: skip


def variances(results: pd.DataFrame | Arms, study: "Study") -> pd.DataFrame:
    """Take apart the variance of a study's pair ``variant - against``.

    ``against`` must not train (``baseline``), so that its seeds differ by their samples' noise
    alone; cells of the variant with a ``sampling_seed`` share that noise, so that their seeds
    differ by training alone.

    Args:
        results: see :mod:`dmp.statistics.results`; or their arms.
        study: one with a ``variance``.

    Returns:
        One row per metric, with ``VARIANCE_COLUMNS``: the mean of ``against``; standard
        deviations between seeds because of sampling, of training, and of both; of the difference
        of two arms with seeds of their own, and of the paired one; the share of variance that
        pairing removes; and how many seeds (per arm) find a difference of 5 % of the mean with
        80 % power at the 5 % level. NaN where it cannot be told.

    Raises:
        DMPError: see :func:`dmp.statistics.study.study_arms`; or a variant has no numbers.
    """
    pair = study.variance
    if pair is None:
        raise DMPError(f"study {study.id} names no pair whose variance is to be taken apart")
    arms = study_arms(results, study)

    def arm(variant: str, metric: str) -> Arm:
        found = arms[pair.task or "", variant, metric]
        if isinstance(found, str):
            raise DMPError(f"study {study.id}: {pair.task}/{variant}: no {metric}, {found}")
        return found

    fixed = [
        cell.variant
        for cell in study.cells
        if cell.task == pair.task and _fixed_noise(cell.variant, pair.variant)
    ]
    table = []
    for metric in study.metrics:
        a, b = align([arm(pair.variant, metric), arm(pair.against, metric)]).values.T
        at_fixed_noise = [_variance(arm(variant, metric).last) for variant in fixed]
        unpaired = math.sqrt(_variance(a) + _variance(b))
        paired = math.sqrt(_variance(a - b))
        effect = RELATIVE_EFFECT / 100 * abs(b.mean())
        single = math.sqrt((_variance(a) + _variance(b)) / 2)
        table.append(
            {
                "metric": metric,
                "mean": b.mean(),
                "sd_sampling": math.sqrt(_variance(b)),
                "sd_training": math.sqrt(np.mean(at_fixed_noise)) if at_fixed_noise else math.nan,
                "sd_both": math.sqrt(_variance(a)),
                "sd_unpaired": unpaired,
                "sd_paired": paired,
                "removed_percent": 100 * (1 - (paired / unpaired) ** 2) if unpaired else math.nan,
                "seeds_unpaired": _seeds_unpaired(effect, single),
                "seeds_paired": _seeds_paired(effect, paired),
            }
        )
    return pd.DataFrame(table, columns=VARIANCE_COLUMNS)


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else math.nan


def _fixed_noise(cell: str, variant: str) -> bool:
    parsed = Variant.parse(cell)
    if parsed.sampling.sampling_seed is None:
        return False
    own = f"sampling_seed={parsed.sampling.sampling_seed}"
    return Variant.parse(f"{variant},{own}").name == parsed.name


def _seeds_unpaired(effect: float, sd: float) -> float:
    """Return the seeds per arm of a two-sample t test; NaN where nothing varies."""
    if not sd > 0 or not effect > 0:
        return math.nan
    n = 2
    # Power by the normal distribution where arms are large, which is where it is exact enough.
    large = 2 * ((stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)) * sd / effect) ** 2
    if large > LARGE:
        return math.ceil(large)
    while TTestIndPower().power(effect / sd, n, ALPHA) < POWER:
        n += 1
    return n


def _seeds_paired(effect: float, sd: float) -> float:
    """Return the seeds of a paired t test; NaN where nothing varies."""
    return units_needed(effect / sd) if sd > 0 and effect > 0 else math.nan
