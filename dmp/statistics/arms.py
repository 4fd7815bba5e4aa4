"""Picks the rows of one cell of a study out of the results, and refuses what cannot be compared."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from dmp.errors import DMPError
from dmp.statistics.results import ALL_TIMESTEPS, DIVERGED, check_results, final_rows


class Arms:
    """The results of a study's cells, over all timesteps, ready to be paired.

    Args:
        results: see :mod:`dmp.statistics.results`; rows of other studies are ignored.
        study: a study with ``id``, ``metrics`` and ``cells``.

    Raises:
        DMPError: a row of the results is malformed.

    """

    def __init__(self, results: pd.DataFrame, study: Any) -> None:
        check_results(results)
        rows = final_rows(results)
        rows = rows[rows["bin"] == ALL_TIMESTEPS].sort_values("seed", kind="stable")
        self._rows = dict(list(rows.groupby(["task", "variant", "metric"], sort=False)))
        self._empty = rows.iloc[:0]
        self._study = study.id
        self._cells = {(cell.task, cell.variant): cell for cell in study.cells}
        self._seeds: dict[str, set[int]] = {}
        self._not_finite = _not_finite(final_rows(results))
        for cell in study.cells:
            if (cell.task, cell.variant) in self._not_finite:
                continue
            for metric in study.metrics:
                seeds = self._find(cell.task, cell.variant, metric)["seed"]
                self._seeds.setdefault(cell.task, set()).update(seeds.tolist())

    def _find(self, task: str, variant: str, metric: str) -> pd.DataFrame:
        return self._rows.get((task, variant, metric), self._empty)

    def missing(self, task: str, variant: str, metric: str) -> str | None:
        """Return why a cell has no number of a metric; None if it has.

        A cell of which one seed did not stay finite has none: the mean over the others would be
        that of the lucky ones.

        Raises:
            DMPError: the study has no such cell.

        """
        if (task, variant) not in self._cells:
            raise DMPError(f"study {self._study} has no cell {task}/{variant}")
        reason = self._cells[task, variant].not_run
        if reason:
            return f"not run at this scale: {reason}"
        unmeasured = self._cells[task, variant].unmeasured
        return self._not_finite.get((task, variant)) or unmeasured.get(metric)

    def arm(self, task: str, variant: str, metric: str) -> pd.DataFrame:
        """Return the rows of one cell and metric, one per seed, sorted by seed.

        Raises:
            DMPError: a row is double; a seed is missing that another cell of this task has; rows
                of the cell were measured by different protocols.

        """
        where = f"study {self._study}: task {task}, variant {variant}, metric {metric}"
        rows = self._find(task, variant, metric)
        _one_protocol(rows, where)
        double = rows["seed"][rows["seed"].duplicated()]
        if len(double):
            raise DMPError(
                f"{where}: {_seeds(double)} stand in more than one row of the results; "
                f"each seed must stand in one"
            )
        missing = self._seeds[task] - set(rows["seed"])
        if missing or rows.empty:
            has = _seeds(rows["seed"]) if len(rows) else "no rows"
            raise DMPError(
                f"{where}: the results have {has}, but lack {_seeds(missing) or 'all seeds'}; "
                f"every cell of a task must have the same seeds"
            )
        return rows

    def pair(
        self, task: str, variant: str, against: str, metric: str
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows of two cells, aligned by seed.

        Raises:
            DMPError: as :meth:`arm`; or the cells were measured by different protocols, or a seed
                rests on different baselines.

        """
        a, b = self.arm(task, variant, metric), self.arm(task, against, metric)
        where = f"study {self._study}: task {task}, {variant} against {against}, metric {metric}"
        _one_protocol(pd.concat([a, b]), where)
        differ = a["seed"].to_numpy()[
            a["baseline_seed"].to_numpy() != b["baseline_seed"].to_numpy()
        ]
        if len(differ):
            raise DMPError(
                f"{where}: {_seeds(differ)} rest on different baselines in the two cells; "
                f"paired runs must start from the same baseline"
            )
        return a, b


def _not_finite(rows: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the cells with runs whose training was not finite, and how many these are."""
    found = {}
    for (task, variant), runs in rows.groupby(["task", "variant"], sort=False):
        metrics = runs.groupby("seed")["metric"].agg(set)
        lost = int((metrics == {DIVERGED}).sum())
        if lost:
            found[task, variant] = f"diverged: not finite in {lost} of {len(metrics)} seeds"
    return found


def _one_protocol(rows: pd.DataFrame, where: str) -> None:
    """Refuse rows whose numbers were not measured in one and the same way."""
    for column in ("protocol", "evaluator", "samples"):
        if rows[column].nunique() > 1:
            found = "; ".join(
                f"{column} {value}: "
                + ", ".join(
                    f"{variant} {_seeds(group['seed'])}"
                    for variant, group in same.groupby("variant", sort=True)
                )
                for value, same in rows.groupby(column, sort=True)
            )
            raise DMPError(
                f"{where}: the rows were measured differently ({found}); numbers of different "
                f"protocols are never compared, so evaluate all of them by one protocol"
            )


def _seeds(seeds: Iterable[int]) -> str:
    """Return ``seed 0`` or ``seeds 0, 1``; empty for none."""
    numbers = sorted({int(seed) for seed in seeds})
    plural = "s" if len(numbers) > 1 else ""
    return f"seed{plural} {', '.join(map(str, numbers))}" if numbers else ""
