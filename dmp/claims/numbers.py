"""What evidence is judged by: results, aligned by seed, and other tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dmp.statistics.arms import DERIVED, Arm, Arms, By, Unmeasured
from dmp.statistics.contrast import Aligned, align

_LUCKY = "the mean over the others would be that of the lucky ones"


@dataclass(frozen=True)
class Numbers:
    """All that was measured, and the metric in question.

    Attributes:
        results: of all runs.
        not_run: task to the reason why this scale leaves it out.
        parameters: counts, see :func:`dmp.statistics.results.read_parameters`; or None.
        speed: timings, see :func:`dmp.statistics.results.read_speed`; or None.
        metric: what is compared.
        sign: -1 where a lower value is better, else 1.
        primary: whether that is the primary endpoint, which the paper's numbers are of.

    """

    results: Arms
    not_run: Mapping[str, str]
    parameters: pd.DataFrame | None = None
    speed: pd.DataFrame | None = None
    metric: str = ""
    sign: int = 1
    primary: bool = False

    def aligned(self, task: str, variants: Sequence[str]) -> Aligned:
        """Return several variants in the metric in question, after training.

        Raises:
            Unmeasured: the task is not run, a variant has no numbers, a run of it was not finite,
                or the variants do not have the same seeds.
            DMPError: see :func:`dmp.statistics.contrast.align`.

        """
        self.require(task, variants)
        for variant in variants:
            self._all_finite(task, variant)
        return align([self.results.arm(task, variant, self.metric) for variant in variants])

    def arm(self, task: str, variant: str, by: By) -> Arm:
        """Return one variant by its ranges of timesteps; errors as :meth:`aligned`."""
        self.require(task, [variant])
        self._all_finite(task, variant)
        arm = self.results.arm(task, variant, self.metric, by)
        if arm.values.isna().any(axis=None) or arm.values.shape[1] < 2:
            raise Unmeasured(
                f"{self.metric} of {variant} on {task} is not there in the same two or more ranges "
                f"of timesteps for every seed"
            )
        return arm

    def align(self, arms: Sequence[Arm]) -> Aligned:
        """Pair arms by seed; errors as :func:`dmp.statistics.contrast.align`."""
        return align(arms)

    def paired(self, columns: Mapping[str, pd.Series]) -> Aligned:
        """Pair values by their index, such as timings by their repeat.

        Raises:
            Unmeasured: one lacks what another has.

        """
        table = pd.DataFrame(columns)
        for name in table.columns[table.isna().any()]:
            lacking = table.index[table[name].isna()]
            raise Unmeasured(f"{name} lacks {table.index.name}s {', '.join(map(str, lacking))}")
        return Aligned(table.to_numpy(), np.zeros(len(table)))

    def reference(self, data: Aligned, arm: int = -1) -> float:
        """Return the mean of an arm; NaN for a metric that is itself a difference."""
        return float("nan") if self.metric in DERIVED else data.mean(arm)

    def require(self, task: str, variants: Sequence[str]) -> None:
        """Refuse a task that is not run at all.

        Raises:
            Unmeasured: it is not.

        """
        if task in self.not_run:
            raise Unmeasured(f"not run at this scale: {self.not_run[task]}")
        if task not in self.results.tasks:
            raise Unmeasured(f"the results have no task {task}; needed: {', '.join(variants)}")

    def _all_finite(self, task: str, variant: str) -> None:
        lost = self.results.lost(task, variant)
        if lost:
            raise Unmeasured(
                f"{variant} diverged: not finite in {lost[0]} of {lost[1]} seeds, and {_LUCKY}"
            )
