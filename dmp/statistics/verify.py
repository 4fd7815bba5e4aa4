"""Does a new run of the benchmark agree with a reference whose bits it cannot have?

Baselines are the units: each is one draw, and all numbers that rest on it differ together. If a new
run is of the same benchmark, its baselines and those of the reference can be exchanged. So the
largest difference of all rows is compared with the largest one for every other way to share the
baselines out (Westfall and Young's maximum over tests that depend on each other): an alarm is false
in at most 5 % of new runs, however rows depend on each other and whatever their distributions.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from dmp.rng import generator
from dmp.statistics.arms import Arm, Arms
from dmp.statistics.bits import IDENTICAL
from dmp.statistics.estimates import Array
from dmp.statistics.results import DIVERGED
from dmp.statistics.study import study_arms

if TYPE_CHECKING:
    from dmp.studies.schema import Study

WITHIN, OUTSIDE, ONE_SIDED = "within", "outside", "measured on one side"
NO_INTERVAL = "not comparable"
KEYS = ["study", "kind", "task", "variant", "against", "metric"]
COLUMNS = [*KEYS, "scale", "reference", "low", "high", "here", "n_reference", "n_here", "verdict"]
LEVEL = 0.05
# Means that agree to this share of their value are the same.
CLOSE = 1e-9
# So many ways to share baselines out are all tried; of more, as many at random.
EXACT = 10_000


@dataclass(frozen=True)
class Row:
    """A mean or a paired difference in a new run and in the reference, unit by unit.

    Attributes:
        key: the values of ``KEYS``.
        here: (units,) by baseline; in logarithms where ``ratio``. Empty where it is not measured.
        there: the same of the reference.
        ratio: whether all that it is made of is positive, so that the effect is a ratio.
        comparable: False if one baseline stands for all others.
    """

    key: tuple[str, ...]
    here: pd.Series
    there: pd.Series
    ratio: bool = False
    comparable: bool = True

    @property
    def tested(self) -> bool:
        """Whether it can be tested."""
        return self.comparable and len(self.here) > 0 and len(self.there) > 1


def rows_of(study: "Study", here: Arms, there: Arms, same: frozenset[str]) -> list[Row]:
    """Return every cell and comparison of a study, in every metric, and whether cells diverged.

    Args:
        study: as the plan has resolved it.
        same: the tasks all of whose seeds rest on one baseline that both share, so that seeds are
            the units.

    Raises:
        DMPError: see :func:`dmp.statistics.study.study_arms`.
    """
    ours, theirs = study_arms(here, study), study_arms(there, study)
    rows = []
    for cell in study.cells:
        if cell.not_run:
            continue
        name = (study.id, "mean", cell.task, cell.variant, "")
        by_seed = cell.task in same
        for metric in study.metrics:
            key = (cell.task, cell.variant, metric)
            rows.append(_row((*name, metric), [ours[key]], [theirs[key]], by_seed))
        arms = [each.arm(cell.task, cell.variant, DIVERGED) for each in (here, there)]
        rows.append(_row((*name, DIVERGED), arms[:1], arms[1:], by_seed))
    for pair in study.comparisons:
        task = str(pair.task)
        both = (pair.variant, pair.against)
        for metric in study.metrics:
            a, b = ([side[task, arm, metric] for arm in both] for side in (ours, theirs))
            name = (study.id, "difference", task, *both, metric)
            rows.append(_row(name, a, b, task in same))
    return [row for row in rows if len(row.here) or len(row.there)]


def _row(
    key: tuple[str, ...], here: Sequence[Arm | str], there: Sequence[Arm | str], by_seed: bool
) -> Row:
    both = [[arm for arm in side if isinstance(arm, Arm)] for side in (here, there)]
    both = [side if len(side) == len(here) else [] for side in both]
    ratio = all(bool((arm.last > 0).all()) for side in both for arm in side)
    sides = [_units(side, ratio, by_seed) for side in both]
    # One baseline with several seeds has no spread between baselines.
    comparable = by_seed or not both[1] or both[1][0].baselines.nunique() > 1
    return Row(key, *sides, ratio=ratio, comparable=comparable)


def _units(arms: Sequence[Arm], ratio: bool, by_seed: bool) -> pd.Series:
    """Return the first arm, or its difference to the second, by unit."""
    if not arms:
        return pd.Series(dtype=float)
    values = [pd.Series(arm.last, index=arm.values.index) for arm in arms]
    if ratio:
        values = [pd.Series(np.log(each.to_numpy()), index=each.index) for each in values]
    found = values[0] if len(values) == 1 else (values[0] - values[1]).dropna()
    return found if by_seed else found.groupby(arms[0].baselines).mean()


def judge_rows(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as a table with ``COLUMNS``: means, and the reference's prediction interval.

    A new mean of m units lies in ``mean ± t(n - 1) sd √(1/n + 1/m)`` of the n of the reference in
    95 of 100 new runs. Ratios are given as such: geometric means, and their interval.
    """
    table = []
    for row in rows:
        a, b = row.there.to_numpy(), row.here.to_numpy()
        n, m = len(a), len(b)
        means = [float(each.mean()) if len(each) else math.nan for each in (a, b)]
        half = math.nan
        if row.tested:
            half = float(
                stats.t.ppf(1 - LEVEL / 2, n - 1) * a.std(ddof=1) * math.sqrt(1 / n + 1 / m)
            )
        limits = means[0] - half, means[0] + half
        if not n or not m:
            verdict = ONE_SIDED
        elif np.isclose(*means, rtol=CLOSE, atol=0):
            verdict = IDENTICAL
        elif not row.tested:
            verdict = NO_INTERVAL
        else:
            verdict = WITHIN if limits[0] <= means[1] <= limits[1] else OUTSIDE
        told = [math.exp(x) if row.ratio else x for x in (means[0], *limits, means[1])]
        scale = "ratio" if row.ratio else "difference"
        table.append((*row.key, scale, *told, n, m, verdict))
    return pd.DataFrame(table, columns=COLUMNS)


@dataclass(frozen=True)
class Exchange:
    """What exchanging the baselines of rows that share theirs says.

    Attributes:
        rows: how many rows share these baselines, and vary.
        here: the units of the new run.
        there: those of the reference.
        p: share of the ways to exchange them in which the largest difference of all rows is as
            large as it is.
        smallest: the smallest p that so few units can have.
        largest: the row with the largest difference.
    """

    rows: int
    here: list[int]
    there: list[int]
    p: float
    smallest: float
    largest: Row


def exchange(rows: Sequence[Row]) -> list[Exchange]:
    """Test all rows, those together whose units are the same."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.tested:
            groups.setdefault((tuple(row.here.index), tuple(row.there.index)), []).append(row)
    found = []
    for (here, there), members in groups.items():
        values = np.array([[*row.here, *row.there] for row in members])
        varies = np.ptp(values, axis=1) > CLOSE * np.abs(values).max(axis=1)
        if varies.any():
            p, smallest, largest = exchange_test(values[varies], len(here))
            chosen = members[int(np.flatnonzero(varies)[largest])]
            count = int(varies.sum())
            found.append(Exchange(count, [*here], [*there], p, smallest, chosen))
    return found


def exchange_test(values: Array, first: int) -> tuple[float, float, int]:
    """Return p of the hypothesis that columns are exchangeable, its smallest value, and a row.

    The statistic of a row is the share of its variance that lies between the two groups, which
    rises with |t|; the test is of the maximum over rows. All ways to choose the first group are
    tried, or 9,999 random ones and the observed one.

    Args:
        values: (rows, units) with variance in every row.
        first: how many units, from the left, are the first group.

    Returns:
        p; the smallest p that so many units can have; the row with the largest statistic.
    """
    units = values.shape[1]
    ways = math.comb(units, first)
    if ways <= EXACT:
        chosen = np.zeros((ways, units))
        for number, members in enumerate(itertools.combinations(range(units), first)):
            chosen[number, list(members)] = 1.0  # the first one is the observed one
    else:
        keys = generator(0, "exchange").random((EXACT, units))
        keys[0] = np.arange(units)
        chosen = (keys.argsort(axis=1).argsort(axis=1) < first).astype(float)
    centred = values - values.mean(axis=1, keepdims=True)
    centred /= np.sqrt((centred**2).sum(axis=1, keepdims=True))
    shares = (centred @ chosen.T) ** 2
    largest = shares.max(axis=0)
    p = float(np.mean(largest >= largest[0] - CLOSE))
    # Where groups are of one size, exchanging all units changes nothing.
    smallest = (2 if 2 * first == units else 1) / len(chosen)
    return p, smallest, int(shares[:, 0].argmax())


def tell_statistics(table: pd.DataFrame, found: Sequence[Exchange]) -> tuple[list[str], bool]:
    """Return what to tell of :func:`judge_rows` and :func:`exchange`, and whether they agree."""
    lines, agree = [], True
    for kind, group in table.groupby("kind", sort=False):
        counts = group["verdict"].value_counts()
        same, near, far, lone, unknown = (
            int(counts.get(n, 0)) for n in (IDENTICAL, WITHIN, OUTSIDE, ONE_SIDED, NO_INTERVAL)
        )
        lines.append(
            f"{kind}s: {same} identical, {near} within the reference's 95 % prediction interval "
            f"for new baselines, {far} outside, {lone} {ONE_SIDED} only, {unknown} {NO_INTERVAL}"
        )
    # A test that cannot find anything takes no level from the others.
    able = [each for each in found if each.smallest * len(found) < LEVEL]
    for each in found:
        units = (
            f"{len(each.there)} units of the reference ({_listed(each.there)}) and "
            f"{len(each.here)} here ({_listed(each.here)})"
        )
        if each not in able:
            lines.append(f"too few to tell a difference: {units}, in {each.rows:,} rows")
            continue
        differs = each.p * len(able) < LEVEL
        agree = agree and not differs
        lines.append(
            f"{'DIFFERENT' if differs else 'no difference'}: {units}; in {100 * each.p:.2g} % of "
            f"the ways to exchange them a row of {each.rows:,} differs as much as "
            f"{_name(each.largest)} does, {_size(each.largest)} (an alarm below "
            f"{100 * LEVEL / len(able):.2g} %)"
        )
    if not found:
        lines.append(
            "nothing can be compared statistically: no row has several baselines in the reference"
        )
    return lines, agree


def _name(row: Row) -> str:
    study, _, task, variant, against, metric = row.key
    return f"{study}: {task}/{variant}{f' − {against}' if against else ''}: {metric}"


def _size(row: Row) -> str:
    difference = float(row.here.mean() - row.there.mean())
    return f"{100 * math.expm1(difference):+.2g} %" if row.ratio else f"{difference:+.2g}"


def _listed(units: Sequence[int]) -> str:
    first, last = min(units), max(units)
    if first == last:
        return f"{first}"
    return f"{first} to {last}" if len(units) == last - first + 1 else ", ".join(map(str, units))
