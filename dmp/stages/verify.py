"""Comparing a new run of a scale with its committed reference; no torch."""

import contextlib
import math
from collections.abc import Callable, Generator
from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.stages.numbers import numbers_of_baselines, numbers_of_runs, read_numbers
from dmp.stages.origin import likely_cause, origin_of, read_origin, why_not_bits
from dmp.stages.publish import reference_folder
from dmp.stages.verify_scope import COMPARISONS, Scope, find_scope
from dmp.statistics.bits import FIRST, check_numbers, compare_numbers, tell_numbers
from dmp.statistics.results import number, read_csv
from dmp.statistics.verify import tell_absent, tell_identical, tell_statistics, verify
from dmp.studies import Plan

# What makes a row, and what counts its units, in a study's two tables.
TABLES = {
    "mean": ("", ["task", "variant", "metric"], "units"),
    "difference": (COMPARISONS, ["task", "variant", "against", "metric"], "n"),
}
# What was found, as lines of text, and whether it is agreement.
Found = tuple[list[str], bool]


def verify_scale(plan: Plan, layout: Layout) -> tuple[str, bool]:
    """Compare a scale with its reference, and write ``verify.csv``, row by row.

    Portable runs on x86-64 must have the reference's bits: every number of every run is compared,
    and listed in ``verify-numbers.csv``. All others are compared statistically, table by table.
    Either way, whatever a study that was run here lacks counts as a failure.

    Returns:
        What to tell the user, and whether the run agrees with the reference.

    Raises:
        DMPError: there is no reference for this scale, nothing was run here, or a file is damaged.

    """
    folder = reference_folder(layout)
    if not folder.is_dir():
        raise DMPError(f"there are no reference results for scale '{plan.name}': no {folder}")
    with _of_reference(folder):
        reference = read_origin(folder / "provenance.json")
    scope = find_scope(plan, layout, folder, reference)
    runs = [layout.run(*run) for run in scope.runs if layout.metrics(*run).is_file()]
    if not runs:
        raise DMPError(f"{layout.root / 'runs'} has no run of the compared tables; run make tables")
    # Runs have not the bits of others if their baselines have not.
    trained = [layout.pretrained(*baseline) for baseline in scope.baselines]
    trained = [each for each in trained if (each / "provenance.json").is_file()]
    here = origin_of(plan, runs, trained)
    reason = why_not_bits(here, reference)
    if reason:
        lines = [f"statistics: {reason}; identical bits are not expected"]
    else:
        lines = ["bits: both runs are portable, on x86-64; every number must be identical"]
    compare = _statistics if reason else _bits
    found, agree = compare(plan, layout, folder, scope)
    lines += [*found, *scope.notes]
    if any(line.startswith(FIRST) for line in lines):
        lines.append(likely_cause(here, reference))
    lines.append(
        f"reference: {reference.seeds} seeds, {reference.processor}, commit "
        f"{', '.join(reference.commit)}, {reference.finished[:10]}; all rows are in "
        f"{layout.root / 'verify*.csv'}"
    )
    same = "agrees with" if reason else "is identical to"
    verdict = f"{same if agree else 'DIFFERS from'} the reference{scope.part}"
    return "\n".join([*lines, f"this run {verdict}"]), agree


@contextlib.contextmanager
def _of_reference(folder: Path) -> Generator[None]:
    """Add to an error in a file of the reference what to do."""
    try:
        yield
    except DMPError as error:
        raise DMPError(
            f"the reference is damaged: {error}. Restore it with: git checkout -- {folder}"
        ) from error


def _bits(plan: Plan, layout: Layout, folder: Path, scope: Scope) -> Found:
    """Compare every number of the runs and their baselines, and every row of the tables."""
    ours = [
        numbers_of_baselines(plan, layout, scope.baselines),
        numbers_of_runs(layout, scope.runs),
    ]
    with _of_reference(folder):
        runs, baselines = read_numbers(folder / "numbers")
        of_baselines = pd.MultiIndex.from_frame(baselines[["task", "seed"]]).isin(scope.baselines)
        of_runs = pd.MultiIndex.from_frame(runs[["task", "variant", "seed"]]).isin(scope.runs)
        theirs = pd.concat([baselines[of_baselines], runs[of_runs]], ignore_index=True)
        check_numbers(theirs)
    rows = compare_numbers(pd.concat(ours, ignore_index=True), theirs)
    write_csv(layout.root / "verify-numbers.csv", rows)
    lines, numbers_same = tell_numbers(rows)
    found, tables_same = _verify_tables(plan, layout, folder, scope, tell_identical)
    if numbers_same and not tables_same:
        found.append("the numbers agree and their tables do not: `make rebuild` writes them anew")
    return [*lines, *found], numbers_same and tables_same


def _statistics(plan: Plan, layout: Layout, folder: Path, scope: Scope) -> Found:
    """Compare the tables statistically; every run of theirs must be there."""
    found, agree = _verify_tables(plan, layout, folder, scope, tell_statistics)
    absent = [run for run in scope.runs if not layout.metrics(*run).is_file()]
    if absent:
        task, variant, seed = absent[0]
        found.append(f"absent here: {len(absent)} runs, first {task}/{variant}/seed{seed}")
    return found, agree and not absent


def _verify_tables(
    plan: Plan,
    layout: Layout,
    folder: Path,
    scope: Scope,
    judge: Callable[[pd.DataFrame], Found],
) -> Found:
    """Compare the tables of studies; no row may be absent."""
    lines, agree, parts = [], [], []
    for study in scope.studies:
        if study in plan.parameter_studies:
            ours = read_csv(layout.tables / f"{study}.csv", {})
            with _of_reference(folder):
                theirs = read_csv(folder / "tables" / f"{study}.csv", {})
            agree.append(ours.equals(theirs))
            lines += [] if agree[-1] else [f"{study}: counts of parameters differ"]
            continue
        for kind, (suffix, keys, count) in TABLES.items():
            name = f"{study}{suffix}.csv"
            with _of_reference(folder):
                theirs = _read_table(folder / "tables" / name, keys, count)
            path = layout.tables / name
            ours = _read_table(path, keys, count) if path.is_file() else theirs.iloc[:0]
            found = verify(ours, theirs, keys, count)
            parts.append(found.assign(study=study, kind=kind))
    if parts:
        rows = pd.concat(parts, ignore_index=True)
        names = ["study", "kind", "task", "variant", "against", "metric"]
        rows = rows[[*names, *(name for name in rows if name not in names)]]
        rows["against"] = rows["against"].fillna("")
        write_csv(layout.root / "verify.csv", rows)
        for each in (judge, tell_absent):
            found, same = each(rows)
            lines += found
            agree.append(same)
    return lines, all(agree)


def _read_table(path: Path, keys: list[str], count: str) -> pd.DataFrame:
    """Read what is compared of a study's table; what was not measured is NaN."""
    numeric = ("mean", "sd", count)
    table = read_csv(path, dict.fromkeys([*keys, *numeric, "status"], str))
    for name in numeric:
        table[name] = [
            number(text, float, f"{path}: line {line}: {name}") if text else math.nan
            for line, text in enumerate(table[name], start=2)
        ]
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise DMPError(f"{path} lists a row twice: {', '.join(twice.iloc[0][keys])}")
    return table
