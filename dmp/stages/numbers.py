"""Every number of some runs and of their baselines: in memory, and as the files of a reference.

A reference keeps them in ``numbers/``: in ``runs.csv`` a row is a metric of a run at an iteration,
with a column for each range of timesteps; ``sources.csv`` says for each run what it came from, and
``baselines.csv`` is the convergence of the baselines. To compare bits, a number is named by
``KEYS``; those of a baseline's own training have the variant ``pretraining`` and its seed.
"""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dmp.config import content_hash
from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.stages.collect import gather_baselines, gather_results, run_rows
from dmp.statistics.bits import KEYS, PRETRAINING
from dmp.statistics.results import (
    ALL_TIMESTEPS,
    BASELINE_COLUMNS,
    RESULT_COLUMNS,
    number,
    numbers,
    read_csv,
)
from dmp.studies import Plan

Run = tuple[str, str, int]
RUNS, SOURCES, BASELINES = "runs.csv", "sources.csv", "baselines.csv"
_ROW = {
    "task": str, "variant": str, "seed": int, "metric": str, "iteration": str, "protocol": str,
    "evaluator": str, "samples": str,
}  # fmt: skip
_RUN = ["task", "variant", "seed"]
_SOURCE = {
    "task": str, "variant": str, "seed": int, "baseline_seed": int, "config": str, "commit": str,
}  # fmt: skip
_BASELINE = {**BASELINE_COLUMNS, "config": str}
_NAMED = ("task", "baseline_seed")


class Numbers(NamedTuple):
    """The numbers of some runs, and of the baselines that they rest on.

    Attributes:
        results: ``RESULT_COLUMNS``, a number per row; what the file of a run says is text, as it
            stands there.
        baselines: ``BASELINE_COLUMNS`` and ``config``, what their convergence was measured by.
    """

    results: pd.DataFrame
    baselines: pd.DataFrame

    def runs(self) -> list[Run]:
        """Return the (task, variant, seed) of every run, in the order of the rows."""
        return list(self.configurations())

    def configurations(self) -> dict[Run, str]:
        """Return the configuration of every run, in the order of the rows."""
        found = self.results[[*_RUN, "config"]].drop_duplicates(_RUN)
        return {
            (task, variant, seed): config
            for task, variant, seed, config in found.itertuples(index=False, name=None)
        }

    def part(self, runs: Collection[Run], baselines: Collection[tuple[str, int]]) -> "Numbers":
        """Return the numbers of some runs, and of some baselines."""
        results = self.results[pd.MultiIndex.from_frame(self.results[_RUN]).isin(list(runs))]
        chosen = pd.MultiIndex.from_frame(self.baselines[list(_NAMED)]).isin(list(baselines))
        return Numbers(results.reset_index(drop=True), self.baselines[chosen])

    def table(self) -> pd.DataFrame:
        """Return the results for the statistics, what is a number as one.

        Raises:
            DMPError: a text is no number.
        """
        kinds = {name: RESULT_COLUMNS[name] for name in ("value", "iteration", "samples")}

        def where(name: str, row: int) -> str:
            return f"{name} of {'/'.join(map(str, self.results[_RUN].iloc[row]))}"

        columns = {
            name: numbers(self.results[name].to_list(), kind, partial(where, name))
            for name, kind in kinds.items()
        }
        return self.results.assign(**columns)

    def long(self) -> pd.DataFrame:
        """Return every number, those of baselines first: ``KEYS``, ``value`` and ``protocol``."""
        parts = [_melted(self.baselines), self.table()[[*KEYS, "value", "protocol"]]]
        return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def gather_numbers(
    plan: Plan, layout: Layout, runs: Sequence[Run], baselines: Sequence[tuple[str, int]]
) -> Numbers:
    """Return the numbers of runs and baselines that the plan asks for.

    Raises:
        DMPError: one is missing, damaged, or of another configuration.
    """
    results = gather_results(plan, layout, runs)
    return Numbers(results, _with_config(plan, gather_baselines(plan, layout, baselines)))


def numbers_here(
    plan: Plan, layout: Layout, runs: Sequence[Run], baselines: Sequence[tuple[str, int]]
) -> Numbers:
    """As :func:`gather_numbers`, of what there is, and of whatever configuration."""
    there = [run for run in runs if layout.metrics(*run).is_file()]
    rows = [row for run in there for row in run_rows(layout, *run)]
    trained = [each for each in baselines if layout.convergence(*each).is_file()]
    results = pd.DataFrame(rows, columns=list(RESULT_COLUMNS))
    return Numbers(results, _with_config(plan, gather_baselines(plan, layout, trained)))


def write_numbers(found: Numbers, folder: Path) -> None:
    """Write the files of a reference.

    Raises:
        DMPError: a number is there twice, or a file cannot be written.
    """
    results = found.results
    twice = results[results.duplicated(KEYS)]
    if len(twice):
        row = twice.iloc[0]
        raise DMPError(
            f"{row.metric} of {row.task}/{row.variant}/seed{row.seed} is there twice at iteration "
            f"{row.iteration}, timesteps {row.bin}; run the workflow again"
        )
    bins = sorted(set(results["bin"]) - {ALL_TIMESTEPS}, key=lambda name: int(name.split("-")[0]))
    bins = [ALL_TIMESTEPS, *bins]
    names = [name for name in _ROW if name != "samples"]
    order = pd.MultiIndex.from_frame(results[names].drop_duplicates())
    values, counts = (
        results.pivot(index=names, columns="bin", values=name)
        .reindex(order)
        .reindex(columns=bins)
        .fillna("")
        for name in ("value", "samples")
    )
    # Of how many samples each value is, in the order of the values.
    samples = [" ".join(filter(None, row)) for row in counts.astype(str).to_numpy()]
    wide = values.reset_index()
    wide.insert(len(names), "samples", samples)
    write_csv(folder / RUNS, wide)
    write_csv(folder / SOURCES, results[list(_SOURCE)].drop_duplicates(_RUN))
    write_csv(folder / BASELINES, found.baselines[list(_BASELINE)])


def read_numbers(folder: Path) -> Numbers:
    """Return the numbers of a reference.

    Raises:
        DMPError: a file is missing or damaged.
    """
    path = folder / RUNS
    wide = read_csv(path, _ROW)
    sources = read_csv(folder / SOURCES, _SOURCE).drop_duplicates(_RUN).set_index(_RUN)
    bins = [name for name in wide.columns if name not in _ROW]
    origins = sources.to_dict("index")
    rows = []
    lines = wide[[*_ROW, *bins]].to_numpy().tolist()
    for line, (*names, iteration, protocol, evaluator, counts, texts) in enumerate(
        ([*found[: len(_ROW)], found[len(_ROW) :]] for found in lines), start=2
    ):
        filled = [(where, text) for where, text in zip(bins, texts, strict=True) if text]
        origin, samples = origins.get(tuple(names[:3])), counts.split()
        if origin is None or len(samples) != len(filled):
            why = "is of a run without a source" if origin is None else "has other than its samples"
            raise DMPError(f"{path}: line {line} {why}")
        for (where, text), count in zip(filled, samples, strict=True):
            number(text, float, f"{path}: line {line}: {where}")
            rows.append(
                (*names[:3], origin["baseline_seed"], names[3], where, iteration, text, count,
                 protocol, evaluator, origin["commit"], origin["config"])
            )  # fmt: skip
    results = pd.DataFrame(rows, columns=list(RESULT_COLUMNS))
    return Numbers(results, read_csv(folder / BASELINES, _BASELINE))


def _with_config(plan: Plan, baselines: pd.DataFrame) -> pd.DataFrame:
    """Add to baselines what the plan's judgement of them depends on."""
    pairs = zip(baselines["task"], baselines["baseline_seed"], strict=True)
    return baselines.assign(config=[convergence_config(plan, *pair) for pair in pairs])


def convergence_config(plan: Plan, task: str, seed: int) -> str:
    """Return what a baseline's convergence depends on, its tolerance included."""
    tolerance = plan.scale.tasks[task].pretraining.convergence_tolerance
    return content_hash([plan.fingerprint("convergence", task, seed=seed), tolerance])


def _melted(baselines: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of baselines as a long table.

    The FID comes first: it is the first to show that another baseline was trained.
    """
    names = [n for n in BASELINE_COLUMNS if n not in (*_NAMED, "commit", "fid_last")]
    names = ["fid_last", *names]
    baselines = baselines.astype(dict.fromkeys(names, float)).rename_axis("row").reset_index()
    long = baselines.melt(["row", *_NAMED], names, var_name="metric")
    long = long.sort_values("row", kind="stable").rename(columns={"baseline_seed": "seed"})
    long = long.assign(variant=PRETRAINING, iteration=0, bin=ALL_TIMESTEPS, protocol="")
    return long[[*KEYS, "value", "protocol"]]
