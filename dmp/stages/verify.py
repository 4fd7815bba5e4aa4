"""Comparing a new run of a scale with its committed reference; no torch."""

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.recipes import DECAYED, PAPER
from dmp.stages.numbers import Numbers, numbers_here
from dmp.stages.origin import likely_cause, origin_of, why_not_bits
from dmp.stages.reference import Reference
from dmp.stages.verify_scope import Scope, find_scope
from dmp.stages.verify_tables import absent_files, tables_agree, verdicts_agree
from dmp.statistics.arms import Arms
from dmp.statistics.bits import FIRST, check_numbers, compare_numbers, tell_numbers
from dmp.statistics.verify import exchange, judge_rows, rows_of, tell_statistics
from dmp.studies import Plan


def verify_scale(plan: Plan, layout: Layout) -> tuple[str, bool]:
    """Compare a scale with its reference, and write what was compared, row by row.

    Portable runs on x86-64 must have the reference's bits: every number of every run is compared,
    and listed in ``verify-numbers.csv``. All others are compared statistically, in ``verify.csv``,
    with baselines as units; there the verdicts on the claims come first. Either way, whatever a
    study that was run here lacks counts as a failure.

    Returns:
        What to tell the user, and whether the run agrees with the reference.

    Raises:
        DMPError: there is no reference for this scale, nothing was run here, or a file is damaged.
    """
    reference = Reference(layout.published)
    if not reference.folder.is_dir():
        raise DMPError(
            f"there are no reference results for scale '{plan.name}': no {reference.folder}"
        )
    theirs = reference.origin
    scope = find_scope(plan, layout, reference)
    runs = [layout.run(*run) for run in scope.runs if layout.metrics(*run).is_file()]
    if scope.runs and not runs:
        raise DMPError(f"{layout.root / 'runs'} has no run of the compared tables; run make tables")
    # Runs have not the bits of others if their baselines have not.
    trained = [
        layout.pretrained(*baseline, recipe)
        for baseline in scope.baselines
        for recipe in (PAPER, DECAYED)
    ]
    here = origin_of(runs, [each for each in trained if (each / "provenance.json").is_file()])
    reason = why_not_bits(here, theirs)
    ours = numbers_here(plan, layout, scope.runs, scope.baselines)
    if reason:
        head = f"statistics: {reason}; identical bits are not expected"
        lines, agree = _statistics(plan, layout, reference, scope, ours)
    else:
        head = "bits: both runs are portable, on x86-64; every number must be identical"
        lines, agree = _bits(layout, reference, scope, ours)
    verdicts = [
        line for each in scope.judged for line in verdicts_agree(plan, layout, reference, each)
    ]
    # Where bits are not expected, the verdicts are what a reader has come for.
    lines = [*verdicts, head, *lines] if reason else [head, *verdicts, *lines]
    found, same = tables_agree(plan, layout, reference, scope, values=not reason)
    if agree and not same and not reason:
        found.append("the numbers agree and their tables do not: `make rebuild` writes them anew")
    absent = absent_files(plan, layout, scope)
    agree = agree and not absent
    lines += [*found, *absent, *scope.notes]
    if any(line.startswith(FIRST) for line in lines):
        lines.append(likely_cause(here, theirs))
    lines.append(
        f"reference: {', '.join(theirs.processor)}, commit {', '.join(theirs.commit)}, "
        f"{theirs.finished[:10]}; all rows are in {layout.root / 'verify*.csv'}"
    )
    agree = agree and same
    told = "agrees with" if reason else "is identical to"
    lines.append(f"this run {told if agree else 'DIFFERS from'} the reference{scope.part}")
    return "\n".join(lines), agree


def _bits(
    layout: Layout, reference: Reference, scope: Scope, ours: Numbers
) -> tuple[list[str], bool]:
    """Compare every number of the runs and their baselines; return what was found, and if equal."""
    with reference.damaged():
        theirs = reference.numbers.part(scope.runs, scope.baselines).long()
        check_numbers(theirs)
    rows = compare_numbers(ours.long(), theirs)
    write_csv(layout.root / "verify-numbers.csv", rows)
    lines, same = tell_numbers(rows)
    here, there = ours.configurations(), reference.numbers.configurations()
    both = [run for run in here if run in there]
    other = [run for run in both if here[run] != there[run]]
    if other and not same:
        task, variant, seed = other[0]
        lines.append(
            f"other configurations: {len(other):,} of {len(both):,} runs, first "
            f"{task}/{variant}/seed{seed}: their settings are not those of the reference"
        )
    return lines, same


def _statistics(
    plan: Plan, layout: Layout, reference: Reference, scope: Scope, ours: Numbers
) -> tuple[list[str], bool]:
    """Compare the studies' numbers by units, likewise; every run of theirs must be there."""
    lines = []
    there = set(ours.runs())
    untold = [
        each
        for each in scope.baselines
        if not plan.has_decayed(each[0]) and not layout.convergence(*each).is_file()
    ]
    if untold:
        task, seed = untold[0]
        lines.append(f"absent here: {len(untold)} baselines' convergence, first {task}/seed{seed}")
    absent = [run for run in scope.runs if run not in there]
    if absent:
        task, variant, seed = absent[0]
        lines.append(f"absent here: {len(absent)} runs, first {task}/{variant}/seed{seed}")
    rows = []
    same = _same_baselines(ours.baselines, reference.numbers.baselines)
    lacking = {(task, variant) for task, variant, _ in absent}
    for name in scope.studies:
        if lacking & set(plan.variants(name)):
            continue
        with reference.damaged():
            theirs = Arms(reference.of(plan, name).table())
        # All seeds of both: they need not be the same ones.
        every = [run for run in plan.runs(name) if layout.metrics(*run).is_file()]
        mine = Arms(numbers_here(plan, layout, every, plan.baselines(name)).table())
        rows += rows_of(plan.study(name), mine, theirs, same)
    found = exchange(rows)
    table = judge_rows(rows)
    write_csv(layout.root / "verify.csv", table)
    told, agree = tell_statistics(table, found)
    return [*told, *lines], agree and not absent and not untold


def _same_baselines(ours: pd.DataFrame, theirs: pd.DataFrame) -> frozenset[str]:
    """Return the tasks with one baseline, which both share: its FIDs are equal to the bit."""
    here, there = (
        table.drop_duplicates("task", keep=False).set_index("task")["fid_last"].to_dict()
        for table in (ours, theirs)
    )
    return frozenset(task for task, fid in here.items() if fid == there.get(task))
