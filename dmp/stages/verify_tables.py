"""Tables and verdicts of a new run, beside those that follow from a reference's numbers."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dmp.claims.measurement import CONTRADICTED, NOT_TESTED, SUPPORTED
from dmp.claims.schema import Claims
from dmp.claims.summary import summarise
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.products.results import PAGE_SUFFIXES
from dmp.stages.numbers import Numbers, numbers_here
from dmp.stages.origin import Seeds, seeds_of
from dmp.stages.reference import COMPARISONS, Reference
from dmp.stages.verify_scope import Scope
from dmp.statistics.arms import Arms
from dmp.statistics.bits import ABSENT_HERE, ABSENT_THERE
from dmp.statistics.results import read_csv
from dmp.statistics.study import cells, comparisons
from dmp.studies import Plan

# By the suffix of a study's table: what names a row, and what is compared of it.
_COLUMNS = {
    "": (["task", "variant", "metric"], ["mean", "sd", "units"]),
    COMPARISONS: (["task", "variant", "against", "metric"], ["mean", "sd", "n"]),
}
_DECIDED = {SUPPORTED, CONTRADICTED}


def tables_agree(
    plan: Plan, layout: Layout, reference: Reference, scope: Scope, values: bool
) -> tuple[list[str], bool]:
    """Compare the rows of tables: none may be absent and, where ``values``, all must be identical.

    The reference's rows are computed from its numbers for the seeds that both have: its own tables
    may be of more seeds. Where there are more seeds here, so are the rows here.
    """
    lines, same, count, equal = [], True, 0, 0
    for name in scope.counted:
        if not _has_content(layout.tables / f"{name}.csv"):
            same = False
            continue
        ours = read_csv(layout.tables / f"{name}.csv", {})
        with reference.damaged():
            theirs = read_csv(reference.folder / "tables" / f"{name}.csv", {})
        if not ours.equals(theirs):
            lines.append(f"{name}: counts of parameters differ")
            same = False
    first = ""
    for name in scope.studies:
        seeds = scope.common[name]
        with reference.damaged():
            pairs = _computed(plan, name, reference.of(plan, name, seeds))
        for suffix, theirs in pairs.items():
            ours = _rows(layout.tables / f"{name}{suffix}.csv", *_COLUMNS[suffix])
            lines += _absent(name, ours, theirs)
            if values and seeds != seeds_of(plan):
                ours = _here(plan, layout, name, seeds).get(suffix, theirs.iloc[:0])
            both = theirs.index.intersection(ours.index)
            matches = (ours.loc[both] == theirs.loc[both]).all(axis=1)
            count, equal = count + len(both), equal + int(matches.sum())
            if not first and not matches.all():
                key = both[~matches][0]
                first = (
                    f"first row to differ: {name}: {_named(key)} = {ours.loc[key, 'mean']} here, "
                    f"{theirs.loc[key, 'mean']} in the reference"
                )
    same = same and not any(ABSENT_HERE in each or ABSENT_THERE in each for each in lines)
    if not values:
        return lines, same
    told = f"tables: {equal:,} of {count:,} rows are identical"
    return [told, *([first] if first else []), *lines], same and equal == count


def _here(plan: Plan, layout: Layout, name: str, seeds: Seeds) -> dict[str, pd.DataFrame]:
    """Return the rows of a study here for some of its seeds; none if a run is missing."""
    runs = seeds.of(plan).runs(name)
    if not all(layout.metrics(*run).is_file() for run in runs):
        return {}
    return _computed(plan, name, numbers_here(plan, layout, runs, seeds.of(plan).baselines(name)))


def _computed(plan: Plan, name: str, numbers: Numbers) -> dict[str, pd.DataFrame]:
    """Return the rows that follow from numbers, by the suffix of their file, and as text."""
    arms, study = Arms(numbers.table()), plan.study(name)
    found = {"": cells(arms, study), COMPARISONS: comparisons(arms, study)}
    return {suffix: _text(table, *_COLUMNS[suffix]) for suffix, table in found.items()}


def _text(table: pd.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    shown = table[list(numbers)].map(lambda value: "" if pd.isna(value) else str(value))
    return shown.set_axis(pd.MultiIndex.from_frame(table[list(keys)]), axis=0)


def _rows(path: Path, keys: list[str], numbers: list[str]) -> pd.DataFrame:
    if not _has_content(path):
        return pd.DataFrame(columns=numbers, index=pd.MultiIndex.from_arrays([[]] * len(keys)))
    table = read_csv(path, dict.fromkeys([*keys, *numbers], str))
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise DMPError(f"{path} lists a row twice: {', '.join(twice.iloc[0][keys])}")
    return table.set_index(keys)[numbers]


def _absent(name: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    lines = []
    for title, lacks, has in ((ABSENT_HERE, ours, theirs), (ABSENT_THERE, theirs, ours)):
        absent = has.index.difference(lacks.index, sort=False)
        if len(absent):
            rows = f"{len(absent):,} row{'s' * (len(absent) > 1)} of tables"
            lines.append(f"{title}: {rows}, first {name}: {_named(absent[0])}")
    return lines


def _named(key: Sequence[str]) -> str:
    task, variant, *against, metric = key
    return f"{task}/{variant}{''.join(f' − {name}' for name in against)}: {metric}"


def absent_files(plan: Plan, layout: Layout, scope: Scope) -> list[str]:
    """Return the files that studies, claims and hypotheses which were run here lack, or are empty.

    Pages are compared with none of the reference's, but without them a run is not whole.
    """
    files = [
        layout.tables / f"{name}{suffix}" for name in scope.counted for suffix in PAGE_SUFFIXES
    ]
    for name in scope.studies:
        numbers = (layout.results_table(name), layout.baselines_table(name))
        files += [*numbers, *(layout.tables / f"{name}{suffix}" for suffix in PAGE_SUFFIXES)]
    for name in scope.judged:
        files.append(layout.results_table(name))
        files += [layout.verdicts(name).with_suffix(suffix) for suffix in PAGE_SUFFIXES]
    files += [layout.figures(name) for name in scope.studies if plan.study(name).figures]
    absent = [path for path in files if not _has_content(path)]
    return [f"{ABSENT_HERE}: {_told(absent)}"] if absent else []


def _has_content(path: Path) -> bool:
    if path.is_dir():
        return any(not each.name.startswith(".") for each in path.iterdir())
    return path.is_file() and path.stat().st_size > 0


def _told(paths: Sequence[Path]) -> str:
    shown = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths)} file{'s' * (len(paths) > 1)} of pages and numbers, or empty: {shown}"


def verdicts_agree(plan: Plan, layout: Layout, reference: Reference, scope: str) -> list[str]:
    """Return how many claims or hypotheses have the verdict here that they have in the reference.

    Verdicts that are not the same are no disagreement by themselves: with fewer seeds fewer claims
    are decided. Opposite ones are named.
    """
    claims, page = plan.judged[scope], layout.verdicts(scope).with_suffix(".csv")
    if not _has_content(page):
        return []  # said among the absent files
    ours, path = _verdicts(claims, page), reference.folder / page.name
    if not path.is_file():  # of a scale that allows no conclusions
        return []
    with reference.damaged():
        theirs = _verdicts(claims, path)
    both = sorted(set(ours) & set(theirs))
    tested = [c for c in both if not ours[c] == theirs[c] == NOT_TESTED]
    same = [c for c in tested if ours[c] == theirs[c]]
    decided = {
        side: [c for c in tested if found[c] in _DECIDED and other[c] not in _DECIDED]
        for side, found, other in (("here", ours, theirs), ("in the reference", theirs, ours))
    }
    opposite = [c for c in tested if {ours[c], theirs[c]} == _DECIDED]
    parts = [f"{len(found)} decided only {side}" for side, found in decided.items() if found]
    parts.append(f"opposite: {', '.join(opposite)}" if opposite else "none opposite")
    seeds = f"seeds {seeds_of(plan)} here, {reference.seeds[scope]} in the reference"
    return [f"same verdicts: {len(same)} of {len(tested)} {scope} ({seeds}; {'; '.join(parts)})"]


def _verdicts(claims: Claims, path: Path) -> dict[str, str]:
    names = ["claim", "recipe", "endpoint", "verdict", "reason"]
    table = read_csv(path, dict.fromkeys(names, str))
    known = {claim.id for claim in claims.claims}
    if not known <= set(table["claim"]):
        raise DMPError(f"{path} lacks some of what is judged by the present ablations/")
    summary = summarise(table[table["claim"].isin(known)], claims)
    return dict(zip(summary["claim"], summary["verdict"], strict=True))
