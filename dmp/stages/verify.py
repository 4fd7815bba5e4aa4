"""Comparing a new run of a scale with its committed reference; no torch."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_text
from dmp.layout import Layout
from dmp.stages.numbers import numbers_of_baselines, numbers_of_runs, read_numbers
from dmp.stages.origin import (
    Origin,
    likely_cause,
    origin_of,
    read_origin,
    read_record,
    why_not_bits,
)
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
# Says what was found of compared rows, and whether that is agreement.
Tell = Callable[[pd.DataFrame], tuple[list[str], bool]]


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
    here = _origin(plan, layout, scope)
    reason = why_not_bits(here, reference)
    if reason:
        lines = [f"statistics: {reason}; identical bits are not expected"]
    else:
        lines = ["bits: both runs are portable, on x86-64; every number must be identical"]
    compare = _statistics if reason else _bits
    told, agree = compare(plan, layout, folder, scope)
    lines += told
    for title, studies in (
        ("not run here", scope.not_run),
        ("not in the reference, and not compared", scope.unknown),
    ):
        if studies:
            lines.append(f"{title}: {', '.join(studies)}")
    lines += [scope.seeds] if scope.seeds else []
    if any(line.startswith(FIRST) for line in lines):
        lines.append(likely_cause(here, reference))
    lines.append(
        f"reference: {reference.seeds} seeds, {reference.processor}, commit "
        f"{', '.join(reference.commit)}, {reference.finished[:10]}; all rows are in "
        f"{layout.root / 'verify*.csv'}"
    )
    lines.append(_conclusion(agree, bits=not reason, scope=scope))
    return "\n".join(lines), agree


def _conclusion(agree: bool, bits: bool, scope: Scope) -> str:
    part = ""
    if scope.not_run:
        whole = len(scope.studies) + len(scope.not_run)
        part = f" (in the {len(scope.studies)} of {whole} studies that were run here)"
    if not agree:
        return f"this run DIFFERS from the reference{part}"
    return f"this run {'is identical to' if bits else 'agrees with'} the reference{part}"


@contextlib.contextmanager
def _of_reference(folder: Path) -> Iterator[None]:
    """Add to an error in a file of the reference what to do."""
    try:
        yield
    except DMPError as error:
        raise DMPError(
            f"the reference is damaged: {error}. Restore it with: git checkout -- {folder}"
        ) from error


def _origin(plan: Plan, layout: Layout, scope: Scope) -> Origin:
    """Return what made the compared runs that are here, and their baselines."""
    there = [run for run in scope.runs if layout.metrics(*run).is_file()]
    if not there:
        raise DMPError(f"{layout.root / 'runs'} has no run of the compared tables; run make tables")
    records = [read_record(layout.run(*run) / "provenance.json") for run in there]
    # Runs have not the bits of others if their baselines have not.
    folders = [layout.pretrained(*baseline) for baseline in scope.baselines]
    trained = [
        read_record(folder / "provenance.json")
        for folder in folders
        if (folder / "provenance.json").is_file()
    ]
    scale = plan.scale
    return origin_of(records, trained, scale.first_seed, scale.seeds, scale.baseline_seeds)


def _bits(plan: Plan, layout: Layout, folder: Path, scope: Scope) -> tuple[list[str], bool]:
    """Compare every number of the runs and their baselines, and every row of the tables."""
    ours = [
        numbers_of_baselines(plan, layout, scope.baselines),
        numbers_of_runs(layout, scope.runs),
    ]
    with _of_reference(folder):
        runs, baselines = read_numbers(folder / "numbers")
        theirs = pd.concat(
            [
                _chosen(baselines, ["task", "seed"], scope.baselines),
                _chosen(runs, ["task", "variant", "seed"], scope.runs),
            ],
            ignore_index=True,
        )
        check_numbers(theirs)
    rows = compare_numbers(pd.concat(ours, ignore_index=True), theirs)
    path = layout.root / "verify-numbers.csv"
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))
    lines, numbers_same = tell_numbers(rows)
    told, tables_same = _verify_tables(plan, layout, folder, scope, tell_identical)
    if numbers_same and not tables_same:
        told.append("the numbers agree and their tables do not: `make rebuild` writes them anew")
    return [*lines, *told], numbers_same and tables_same


def _statistics(plan: Plan, layout: Layout, folder: Path, scope: Scope) -> tuple[list[str], bool]:
    """Compare the tables statistically; every run of theirs must be there."""
    told, agree = _verify_tables(plan, layout, folder, scope, tell_statistics)
    absent = [run for run in scope.runs if not layout.metrics(*run).is_file()]
    if absent:
        task, variant, seed = absent[0]
        told.append(f"absent here: {len(absent)} runs, first {task}/{variant}/seed{seed}")
    return told, agree and not absent


def _chosen(numbers: pd.DataFrame, names: list[str], wanted: list[tuple]) -> pd.DataFrame:
    """Return the numbers of some runs."""
    return numbers[pd.MultiIndex.from_frame(numbers[names]).isin(wanted)]


def _verify_tables(
    plan: Plan, layout: Layout, folder: Path, scope: Scope, tell: Tell
) -> tuple[list[str], bool]:
    """Compare the tables of studies, judging their rows by ``tell``; no row may be absent."""
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
        path = layout.root / "verify.csv"
        write_text(path, rows.to_csv(index=False, lineterminator="\n"))
        for each in (tell, tell_absent):
            told, same = each(rows)
            lines += told
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
        row = ", ".join(twice.iloc[0][keys])
        raise DMPError(f"{path} lists a row twice: {row}")
    return table
