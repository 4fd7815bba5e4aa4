"""The results of several variants of a task, aligned by seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.estimates import Array
from dmp.statistics.results import ALL_TIMESTEPS, DIVERGED, check_results, final_rows

# Metrics that are the difference of two measured ones, within a run.
DERIVED = {"denoising_gap": ("denoising_mse", "train_denoising_mse")}
_ORIGIN = ["protocol", "evaluator", "samples"]


class NotTested(Exception):  # noqa: N818
    """A piece of evidence has no numbers; the message says why."""


@dataclass(frozen=True)
class Arm:
    """One number per seed.

    Attributes:
        seeds: (n,) ascending.
        baselines: (n,) the baseline of each seed.
        values: (n,).
        origin: how they were measured: protocol, evaluator, samples.

    """

    seeds: np.ndarray
    baselines: np.ndarray
    values: Array
    origin: tuple


@dataclass(frozen=True)
class Aligned:
    """Several arms that share their seeds.

    Attributes:
        values: (seeds, arms).
        baselines: (seeds,).

    """

    values: Array
    baselines: np.ndarray


class Measured:
    """The final results of all runs, and the gates' entropies before training.

    Args:
        results: see :mod:`dmp.statistics.results`.
        not_run: task to the reason why this scale leaves it out.

    Raises:
        DMPError: a row of the results is malformed.

    """

    def __init__(self, results: pd.DataFrame, not_run: Mapping[str, str]) -> None:
        check_results(results)
        self._not_run = dict(not_run)
        final = final_rows(results).sort_values("seed", kind="stable")
        self._final = _index(final[final["bin"] == ALL_TIMESTEPS])
        self._gates = final[(final["metric"] == "gate_entropy") & (final["bin"] != ALL_TIMESTEPS)]
        start = results[(results["metric"] == "gate_entropy") & (results["iteration"] == 0)]
        self._untrained = start[start["bin"] != ALL_TIMESTEPS].sort_values("seed", kind="stable")
        self._tasks = set(results["task"])
        self._not_finite = _not_finite(final)

    def arms(self, task: str, variants: Sequence[str], metric: str) -> Aligned:
        """Return the arms of several variants in one metric.

        Raises:
            NotTested: the task is not run, an arm has no numbers, a run of it was not finite, or
                the arms do not have the same seeds.
            DMPError: a seed stands in two rows, rests on different baselines, or the arms were
                measured by different protocols.

        """
        self.require(task, variants)
        for variant in variants:
            if (task, variant) in self._not_finite:
                raise NotTested(self._not_finite[task, variant])
        arms = {variant: self._arm(task, variant, metric) for variant in variants}
        return align(arms, f"claims: task {task}, metric {metric}")

    def diverged(self, task: str, variant: str) -> Array:
        """Return (seeds,) whether each run diverged; errors as for :meth:`arms`."""
        self.require(task, [variant])
        return self._arm(task, variant, DIVERGED).values > 0

    def entropies(self, task: str, variant: str, untrained: bool = False) -> pd.DataFrame:
        """Return the gate's entropies in nats per seed and range of timesteps.

        Returns:
            Rows of the results: those after training, or those before it.

        Raises:
            NotTested: there are none.

        """
        self.require(task, [variant])
        table = self._untrained if untrained else self._gates
        rows = table[(table["task"] == task) & (table["variant"] == variant)]
        if rows.empty:
            when = " before training" if untrained else ""
            raise NotTested(f"no entropy of the gate of {variant} on {task}{when}")
        return rows

    def require(self, task: str, variants: Iterable[str]) -> None:
        """Raise :class:`NotTested` if the task is not run at all."""
        if task in self._not_run:
            raise NotTested(f"not run at this scale: {self._not_run[task]}")
        if task not in self._tasks:
            raise NotTested(f"the results have no task {task}; needed: {', '.join(variants)}")

    def _arm(self, task: str, variant: str, metric: str) -> Arm:
        if metric in DERIVED:
            a, b = (self._arm(task, variant, name) for name in DERIVED[metric])
            if a.seeds.tolist() != b.seeds.tolist():
                raise NotTested(f"{' and '.join(DERIVED[metric])} of {variant} on {task} were not "
                                f"measured for the same seeds")  # fmt: skip
            return Arm(a.seeds, a.baselines, a.values - b.values, a.origin + b.origin)
        if (task, variant, metric) not in self._final:
            raise NotTested(f"no {metric} of {variant} on {task} in the results")
        return self._final[task, variant, metric]()


def align(arms: Mapping[str, Arm], where: str) -> Aligned:
    """Align arms by seed; errors as for :meth:`Measured.arms`."""
    seeds = {int(seed) for arm in arms.values() for seed in arm.seeds}
    for name, arm in arms.items():
        lacking = sorted(seeds - set(arm.seeds.tolist()))
        if lacking:
            raise NotTested(f"{name} lacks seeds {', '.join(map(str, lacking))}")
    first, *others = arms.values()
    for name, arm in arms.items():
        if arm.origin != first.origin:
            raise DMPError(
                f"{where}: {' and '.join(arms)} were measured by different protocols; numbers of "
                f"different protocols are never compared, so evaluate all of them by one"
            )
        differ = arm.seeds[arm.baselines != first.baselines]
        if len(differ):
            raise DMPError(
                f"{where}: seed {differ[0]} rests on different baselines in {next(iter(arms))} and "
                f"{name}; paired runs must start from the same baseline"
            )
    return Aligned(np.column_stack([arm.values for arm in (first, *others)]), first.baselines)


def _index(rows: pd.DataFrame) -> dict:
    """Return a function per (task, variant, metric) that makes the arm."""
    columns = {name: rows[name].to_numpy() for name in ("seed", "baseline_seed", "value", *_ORIGIN)}
    groups = rows.groupby(["task", "variant", "metric"], sort=False).indices

    def maker(key: tuple, positions: np.ndarray):
        return lambda: _arm_of({name: c[positions] for name, c in columns.items()}, key)

    return {key: maker(key, positions) for key, positions in groups.items()}


def _arm_of(columns: dict[str, np.ndarray], key: tuple) -> Arm:
    task, variant, metric = key
    where = f"claims: task {task}, variant {variant}, metric {metric}"
    seeds = columns["seed"].astype(int)
    twice = seeds[1:][seeds[1:] == seeds[:-1]]
    if len(twice):
        raise DMPError(f"{where}: seed {twice[0]} stands in more than one row of the results; "
                       f"each seed must stand in one")  # fmt: skip
    origin = tuple(columns[name][0] for name in _ORIGIN)
    for name, value in zip(_ORIGIN, origin, strict=True):
        other = columns[name][columns[name] != value]
        if len(other):
            raise DMPError(
                f"{where}: {name} is {value} and {other[0]}; numbers of different protocols are "
                f"never averaged, so evaluate all seeds by one"
            )
    return Arm(seeds, columns["baseline_seed"], columns["value"].astype(float), origin)


def _not_finite(rows: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the cells with runs that have nothing but the row that says they diverged."""
    only = rows.assign(other=rows["metric"] != DIVERGED)
    finite = only.groupby(["task", "variant", "seed"], sort=False)["other"].any()
    found = {}
    for (task, variant), runs in finite.groupby(level=["task", "variant"], sort=False):
        if not runs.all():
            lost = int((~runs).sum())
            found[task, variant] = (
                f"{variant} diverged: not finite in {lost} of {len(runs)} seeds, and the mean "
                f"over the others would be that of the lucky ones"
            )
    return found
