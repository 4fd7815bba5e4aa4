"""The variants of a task that a figure draws, and notes on those that it leaves out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from dmp.reporting.figures.data import FigureData
from dmp.statistics.arms import Arm, Arms, By, Unmeasured, check_comparable, check_pair, listed
from dmp.statistics.labels import metric_name
from dmp.statistics.results import DIVERGED
from dmp.studies.schema import Cell, Study

BASELINE = "baseline"


class Drawn(NamedTuple):
    """What a figure draws.

    Attributes:
        arms: by variant.
        labels: what figures call each variant.
        notes: on what is left out.
    """

    arms: dict[str, Arm]
    labels: dict[str, str]
    notes: list[str]


def cells_of(study: Study, task: str) -> tuple[list[Cell], list[str]]:
    """Return the cells of a task that are run, and a note on each that is not."""
    cells = [cell for cell in study.cells if cell.task == task]
    notes = [f"{cell.label} is not run: {cell.not_run}." for cell in cells if cell.not_run]
    return [cell for cell in cells if not cell.not_run], notes


def draw_arms(
    study: Study, data: FigureData, task: str, metric: str, by: By, required: bool = True
) -> Drawn:
    """Return the variants of a task in a metric; ``by`` as for :meth:`Arms.arm`.

    A variant of which one seed was not finite is left out: the mean over the others would be that
    of the lucky ones. A seed that lacks some of the values is left out.

    Args:
        required: False for a metric that not every variant has; then those without are not noted.

    Raises:
        DMPError: the results are malformed, a number stands there twice, or variants of one figure
            were measured by different protocols.
    """
    cells, notes = cells_of(study, task)
    arms: dict[str, Arm] = {}
    for cell in cells:
        left_out = f"{cell.label} is left out:"
        lost = data.arms.lost(task, cell.variant)
        if lost:
            notes.append(f"{left_out} training was not finite in {lost[0]} of {lost[1]} seeds.")
            continue
        try:
            arm = data.arms.arm(task, cell.variant, metric, by)
        except Unmeasured:
            notes += [f"{left_out} it has no {metric_name(metric)}."] if required else []
            continue
        values = arm.values.dropna()
        if values.empty:
            notes.append(f"{left_out} no seed has all of its values.")
            continue
        arms[cell.variant] = replace(arm, values=values, baselines=arm.baselines[values.index])
        notes += _remarks(cell.label, arms[cell.variant], data.arms, data.seeds)
    if arms:
        check_comparable(list(arms.values()))
    return Drawn(arms, {cell.variant: cell.label for cell in cells}, notes)


def relative(arm: Arm, baseline: Arm) -> Arm:
    """Return the logarithms of the ratio of each seed to its baseline; see :func:`in_percent`.

    Keys are those that both have or, of a baseline that has one value, all of the arm's. Seeds
    without a baseline, or whose values have no logarithm, are left out.

    Raises:
        DMPError: see :func:`dmp.statistics.arms.check_pair`.
    """
    check_pair(arm, baseline)
    logs, start = (values.where(values > 0).map(np.log) for values in (arm.values, baseline.values))
    if start.shape[1] == 1:
        start = pd.DataFrame(dict.fromkeys(logs.columns, start.iloc[:, 0]))
    values = (logs - start).dropna(how="all").dropna(axis="columns", how="all").dropna()
    return replace(arm, values=values, baselines=arm.baselines[values.index])


def in_percent(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return estimates of logarithms of ratios as changes in percent."""
    return 100 * estimates.map(np.expm1)


def _remarks(name: str, arm: Arm, arms: Arms, seeds: Sequence[int]) -> list[str]:
    missing = set(seeds) - arm.seeds
    notes = [f"{name}: {listed(missing)} missing or incomplete."] if missing else []
    try:
        flags = arms.arm(arm.task, arm.variant, DIVERGED)
    except Unmeasured:
        return notes
    diverged = flags.values.index[flags.last > 0]
    if len(diverged):
        notes.append(
            f"{name}: {listed(diverged)} diverged, but stayed finite, and "
            f"{'are' if len(diverged) > 1 else 'is'} drawn."
        )
    return notes
