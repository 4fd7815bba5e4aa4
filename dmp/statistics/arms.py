"""Picks the numbers of variants out of the results, and refuses what cannot be compared."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.estimates import Array, line_weights, mean_interval
from dmp.statistics.results import ALL_TIMESTEPS, DIVERGED, check_results

# Metrics that are the difference of two measured ones, within a run.
DERIVED = {"denoising_gap": ("denoising_mse", "train_denoising_mse")}
_ORIGIN = ("protocol", "evaluator", "samples")
By = Literal["last", "iteration", "timestep", "untrained"]


class Unmeasured(Exception):  # noqa: N818
    """Numbers that were asked for do not exist; the message says why."""


@dataclass(frozen=True)
class Arm:
    """One variant's numbers in one metric.

    Attributes:
        variant: its canonical name.
        values: (seeds, keys) with seeds as index and iterations or timesteps as columns, both in
            ascending order; NaN where a seed lacks one.
        baselines: (seeds,) the baseline of each seed.
        origin: how they were measured: protocol, evaluator, samples.
        spread: the same variant, measured alike on baselines that are not among these: they add to
            what is known of the standard deviation, and not to the mean.
    """

    task: str
    variant: str
    metric: str
    values: pd.DataFrame
    baselines: pd.Series
    origin: tuple
    spread: "Arm | None" = None

    @property
    def seeds(self) -> set[int]:
        """The seeds that have numbers."""
        return set(self.values.index)

    @property
    def last(self) -> Array:
        """(seeds,) the values of the last key."""
        return self.values.iloc[:, -1].to_numpy()

    def estimates(self) -> pd.DataFrame:
        """Return (keys,) ``mean``, and ``low`` and ``high`` of its 95 % t interval.

        Units of inference are those of :mod:`dmp.statistics.estimates`; with one unit the limits
        are NaN.
        """
        found = [mean_interval(self.values[key], self.baselines) for key in self.values]
        rows = [(e.mean, e.low, e.high) for e in found]
        return pd.DataFrame(rows, index=list(self.values), columns=["mean", "low", "high"])

    def slopes(self, per: float) -> "Arm":
        """Return the slope of each seed's least-squares line, per so many of the keys' units."""
        weights = line_weights(self.values.columns.to_numpy(float) / per)
        slopes = [float(np.sum(weights * own)) for own in self.values.to_numpy()]
        spread = self.spread and self.spread.slopes(per)
        values = pd.DataFrame({0: slopes}, index=self.values.index)
        return replace(self, values=values, spread=spread)

    def at(self, key: float) -> "Arm":
        """Return the values of one key."""
        return replace(self, values=self.values[[key]], spread=self.spread and self.spread.at(key))

    def of_seeds(self, seeds: Iterable[int]) -> "Arm":
        """Return the values of some seeds, without a spread."""
        chosen = sorted(seeds)
        return replace(
            self, values=self.values.loc[chosen], baselines=self.baselines[chosen], spread=None
        )


class Arms:
    """The results of any runs, arm by arm.

    Args:
        results: see :mod:`dmp.statistics.results`.
        spread: the same of runs of the same configurations; of those on other baselines each arm
            has its ``spread``.

    Raises:
        DMPError: a row of the results is malformed.
    """

    def __init__(self, results: pd.DataFrame, spread: pd.DataFrame | None = None) -> None:
        check_results(results)
        self._spread = None if spread is None else Arms(spread)
        self._rows = results.sort_values("seed", kind="stable").reset_index(drop=True)
        # A run may be measured on its way too, for a curve, and before it starts.
        runs = self._rows.groupby(["task", "variant", "seed"], sort=False)
        self._final = (self._rows["iteration"] == runs["iteration"].transform("max")).to_numpy()
        self._groups = self._rows.groupby(["task", "variant", "metric"], sort=False).indices
        self._lost = _lost(self._rows[self._final])
        self._known: dict[tuple[str, str, str, By], Arm] = {}
        self.tasks = set(results["task"])

    def lost(self, task: str, variant: str) -> tuple[int, int] | None:
        """Return how many runs did not stay finite, and of how many; None if all did.

        Such a variant has no mean: that over its other runs would be that of the lucky ones.
        """
        return self._lost.get((task, variant))

    def arm(self, task: str, variant: str, metric: str, by: By = "last") -> Arm:
        """Return the numbers of a variant in a metric.

        Args:
            variant: its canonical name.
            metric: a measured metric, or one of ``DERIVED``.
            by: ``last`` for those after the last iteration, in one column; ``iteration`` for those
                at every iteration; both over all timesteps. ``timestep`` for those after the last
                iteration in each range of timesteps, by its middle; ``untrained`` for the same
                before training.

        Raises:
            Unmeasured: there are none.
            DMPError: a seed has two numbers where there should be one, or the numbers were
                measured by different protocols.
        """
        key = (task, variant, metric, by)
        if key not in self._known:
            found = self._derived(*key) if metric in DERIVED else self._measured(*key)
            self._known[key] = replace(found, spread=self._elsewhere(found, by))
        return self._known[key]

    def _elsewhere(self, own: Arm, by: By) -> Arm | None:
        """Return the spread of an arm, if it was measured alike; all runs of it, or none."""
        if self._spread is None or self._spread.lost(own.task, own.variant):
            return None
        try:
            found = self._spread.arm(own.task, own.variant, own.metric, by)
        except Unmeasured:
            return None
        rests_elsewhere = ~found.baselines.isin(set(own.baselines))
        seeds = found.baselines.index[rests_elsewhere]
        alike = found.origin == own.origin and found.values.columns.equals(own.values.columns)
        if not alike or not len(seeds) or found.values.loc[seeds].isna().any(axis=None):
            return None
        return found.of_seeds(seeds)

    def _derived(self, task: str, variant: str, metric: str, by: By) -> Arm:
        a, b = (self.arm(task, variant, name, by) for name in DERIVED[metric])
        if a.seeds != b.seeds:
            raise Unmeasured(
                f"{' and '.join(DERIVED[metric])} of {variant} on {task} were not measured for "
                f"the same seeds"
            )
        return replace(
            a, metric=metric, values=a.values - b.values, origin=a.origin + b.origin, spread=None
        )

    def _measured(self, task: str, variant: str, metric: str, by: By) -> Arm:
        positions = self._groups.get((task, variant, metric), np.array([], dtype=int))
        rows, final = self._rows.iloc[positions], self._final[positions]
        whole = (rows["bin"] == ALL_TIMESTEPS).to_numpy()
        chosen = {
            "last": whole & final,
            "iteration": whole,
            "timestep": ~whole & final,
            "untrained": ~whole & (rows["iteration"] == 0).to_numpy(),
        }[by]
        rows = rows[chosen]
        if rows.empty:
            when = " before training" if by == "untrained" else ""
            raise Unmeasured(f"no {metric} of {variant} on {task}{when} in the results")
        if by in ("timestep", "untrained"):
            keys, columns = rows["bin"].map(midpoint), _ORIGIN[:2]
        else:  # ranges of timesteps hold different numbers of samples
            keys, columns = rows["iteration"] if by == "iteration" else 0 * rows["seed"], _ORIGIN
        where = f"task {task}, variant {variant}, metric {metric}"
        rows = rows.assign(key=keys)
        double = rows["seed"][rows.duplicated(["seed", "key"])]
        if len(double):
            raise DMPError(
                f"{where}: {listed(set(double))} stands in more than one row of the results; each "
                f"seed must stand in one"
            )
        origins = rows[list(columns)]
        if len(origins.drop_duplicates()) > 1:
            each = zip(rows["seed"], origins.itertuples(index=False, name=None), strict=True)
            _refuse_mixed({f"seed {seed}": origin for seed, origin in each}, where)
        values = rows.pivot(index="seed", columns="key", values="value").astype(np.float64)
        baselines = rows.drop_duplicates("seed").set_index("seed")["baseline_seed"]
        return Arm(task, variant, metric, values, baselines, tuple(origins.iloc[0]))


def check_comparable(arms: Sequence[Arm]) -> None:
    """Refuse arms that were measured by different protocols.

    Raises:
        DMPError: they were.
    """
    if len({arm.origin for arm in arms}) > 1:
        where = f"task {arms[0].task}, metric {arms[0].metric}"
        _refuse_mixed({arm.variant: arm.origin for arm in arms}, where)


def check_pair(a: Arm, b: Arm) -> None:
    """Refuse arms that cannot be paired by seed.

    Raises:
        DMPError: they were measured by different protocols, or a seed rests on different baselines.
    """
    check_comparable([a, b])
    differ = [s for s in a.seeds & b.seeds if a.baselines[s] != b.baselines[s]]
    if differ:
        raise DMPError(
            f"task {a.task}, {a.variant} against {b.variant}, metric {a.metric}: "
            f"{listed(differ)} rest on different baselines in the two; paired runs must start from "
            f"the same baseline"
        )


def _refuse_mixed(origins: Mapping[str, tuple], where: str) -> None:
    columns = zip(*origins.values(), strict=True)
    for name, column in zip(itertools.cycle(_ORIGIN), columns, strict=False):
        whose: dict[object, list[str]] = {}
        for who, value in zip(origins, column, strict=True):
            whose.setdefault(value, []).append(who)
        if len(whose) > 1:
            found = "; ".join(f"{name} {value}: {', '.join(who)}" for value, who in whose.items())
            raise DMPError(
                f"{where}: the rows were measured differently ({found}); numbers of different "
                f"protocols are never compared, so evaluate all of them by one protocol"
            )


def midpoint(text: str) -> float:
    """Return the middle of a range of timesteps such as ``0-99``, both ends included.

    Raises:
        DMPError: the text is not a range.
    """
    try:
        first, last = (int(end) for end in text.split("-"))
    except ValueError as error:
        raise DMPError(f"bin '{text}' is not a range of timesteps such as 0-99") from error
    return (first + last) / 2


def listed(seeds: Iterable[int]) -> str:
    """Return ``seed 0`` or ``seeds 0, 1``."""
    numbers = sorted(seeds)
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _lost(final: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the counts of :meth:`Arms.lost`: runs that have nothing but the row saying so."""
    measured = final["metric"] != DIVERGED
    finite = measured.groupby([final["task"], final["variant"], final["seed"]], sort=False).any()
    runs = (~finite).groupby(level=["task", "variant"], sort=False).agg(["sum", "size"])
    return {cell: (int(lost), int(n)) for cell, lost, n in runs.itertuples(name=None) if lost}
