"""What evidence is judged by: results, aligned by seed, and other tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dmp.claims.measurement import Effect
from dmp.methods import on_recipe
from dmp.recipes import PAPER, Recipe
from dmp.statistics.arms import DERIVED, Arm, Arms, By, Unmeasured
from dmp.statistics.contrast import Aligned, align
from dmp.statistics.labels import metric_name


@dataclass(frozen=True)
class Numbers:
    """All that was measured, and the metric in question.

    Attributes:
        not_run: task to the reason why this scale leaves it out.
        parameters: counts, with :data:`dmp.statistics.results.PARAMETER_COLUMNS`; or None.
        speed: timings, with :data:`dmp.statistics.results.SPEED_COLUMNS`; or None.
        sign: -1 where a lower value is better, else 1.
        primary: whether that is the primary endpoint, which the paper's numbers are of.
        relevant: the smallest relevant effect in percent.
        recipe: of the baselines that every variant is looked up on.
    """

    results: Arms
    not_run: Mapping[str, str]
    parameters: pd.DataFrame | None = None
    speed: pd.DataFrame | None = None
    metric: str = ""
    sign: int = 1
    primary: bool = False
    relevant: float = float("nan")
    recipe: Recipe = PAPER

    def aligned(self, task: str, variants: Sequence[str], metric: str = "") -> Aligned:
        """Return several variants in the metric in question, after training.

        Args:
            variants: canonical names, on the paper's recipe.
            metric: another metric than that in question.

        Raises:
            Unmeasured: the task is not run, a variant has no numbers, a run of it was not finite,
                or the variants do not have the same seeds.
            DMPError: see :func:`dmp.statistics.contrast.align`.
        """
        named = self._named(task, variants)
        return align([self.results.arm(task, name, metric or self.metric) for name in named])

    def effect(
        self, task: str, variants: Sequence[str], weights: Sequence[float], base: int = -1
    ) -> Effect:
        """Return a contrast of variants in percent.

        Of a metric that is positive everywhere it is the ratio that the weights make of the arms.
        Otherwise it is a share of the mean of the arm ``base``; and for a metric that is itself a
        difference, a share of what it is subtracted from, in the arm ``base`` of the same seed.

        Raises:
            Unmeasured: as :meth:`aligned`; or the arm ``base`` is not positive on average.
            DMPError: as :meth:`aligned`.
        """
        data, name = self.aligned(task, variants), metric_name(self.metric)
        if self.metric in DERIVED:
            whole = self.aligned(task, [variants[base]], DERIVED[self.metric][0])
            return Effect(
                data.over(whole).contrast(weights),
                f"{metric_name(DERIVED[self.metric][0])} of {variants[base]}",
            )
        if data.positive:
            return Effect(data.logs().contrast(weights), name, log=True)
        whole = np.zeros(len(variants))
        whole[base] = 1
        try:
            return Effect(data.share(weights, whole), f"{name} of {variants[base]}")
        except Unmeasured:
            told = f"the {name} of {variants[base]} is not positive on average"
            raise Unmeasured(f"{told}, so that nothing is a percentage of it") from None

    def arm(self, task: str, variant: str, by: By) -> Arm:
        """Return one variant by its ranges of timesteps; errors as :meth:`aligned`."""
        (name,) = self._named(task, [variant])
        arm = self.results.arm(task, name, self.metric, by)
        if arm.values.isna().any(axis=None) or arm.values.shape[1] < 2:
            raise Unmeasured(
                f"{self.metric} of {name} on {task} is not there in the same two or more ranges "
                f"of timesteps for every seed"
            )
        return arm

    def diverged(self, task: str, variant: str) -> np.ndarray:
        """Return (runs,) whether each run of a variant diverged; errors as :meth:`aligned`."""
        self.require(task, [variant])
        arm = self.results.arm(task, on_recipe(variant, self.recipe), self.metric)
        return arm.last > 0

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

    def require(self, task: str, variants: Sequence[str]) -> None:
        """Refuse a task that is not run at all.

        Raises:
            Unmeasured: it is not.
        """
        if task in self.not_run:
            raise Unmeasured(f"not run at this scale: {self.not_run[task]}")
        if task not in self.results.tasks:
            raise Unmeasured(f"the results have no task {task}; needed: {', '.join(variants)}")

    def _named(self, task: str, variants: Sequence[str]) -> list[str]:
        """Return the variants' names on the recipe; refuse one that has no mean."""
        self.require(task, variants)
        named = [on_recipe(variant, self.recipe) for variant in variants]
        for variant in named:
            lost = self.results.lost(task, variant)
            if lost:
                raise Unmeasured(
                    f"{variant} diverged: not finite in {lost[0]} of {lost[1]} seeds, and the mean "
                    f"over the others would be that of the lucky ones"
                )
        return named
