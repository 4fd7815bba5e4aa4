"""Publishing a scale's results as the reference that others compare theirs with; no torch."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.files import atomic_path, check_seal, write_error
from dmp.layout import Layout
from dmp.recipes import DECAYED
from dmp.stages.numbers import Numbers, gather_numbers
from dmp.stages.origin import Published, Seeds, merged, origin_of, seeds_of
from dmp.stages.publish_sweeps import chosen_sweeps, keep_sweeps
from dmp.stages.rebuild import drawn_from_files, rebuild_reference
from dmp.stages.reference import COUNTS, TIMES, Reference, outdated
from dmp.statistics.bits import IDENTICAL, KEYS, compare_numbers, describe
from dmp.statistics.results import read_csv
from dmp.studies import Plan
from dmp.studies.plan import CLAIMS, JUDGED_WITH


def publish(
    plan: Plan,
    layout: Layout,
    scopes: Sequence[str] = (),
    replace: bool = False,
    ablations: Path = Path("ablations"),
) -> str:
    """Add the results of studies and finished sweeps to a scale's committed reference.

    Numbers of every run are kept, and what follows from them is made from them: tables, and of a
    scale that allows conclusions pages, verdicts and figures too. Figures that draw more than
    numbers are copied.

    Args:
        scopes: studies, or ``tables``, ``studies``, ``claims``, ``hypotheses``, the id of a claim
            for further baselines of what it alone is judged by, ``sweeps`` or ``sweeps/<name>``;
            everything, if there are none.
        replace: start anew, in place of adding to what is published.
        ablations: the folder with the sweeps.

    Raises:
        DMPError: a run is missing; published numbers are other ones, or of another configuration;
            the seeds of a study would have a gap; or an interval has no width. The earlier
            reference is as it was.
    """
    folder = layout.published
    old = None if replace or not folder.is_dir() else Reference(folder)
    others, sweeps = chosen_sweeps(ablations, layout, scopes)
    studies, counts = _studies(plan, others) if others or not scopes else ([], False)
    if old is not None and not studies and sweeps:
        numbers, published = old.numbers, old.published
    else:
        numbers, published = _here(plan, layout, studies)
        if old is not None:
            numbers = _merge(plan, old, numbers)
            seeds = {n: _joined(plan, n, old, own) for n, own in published.seeds.items()}
            origin = merged(old.origin, published.origin, len(numbers.runs()))
            published = Published(origin=origin, seeds=dict(sorted((old.seeds | seeds).items())))
    staged = Reference(folder.with_name(f".{folder.name}.new"))
    shutil.rmtree(staged.folder, ignore_errors=True)
    try:
        staged.write(published, numbers)
        for name, path, wanted in (
            (COUNTS, layout.parameters_table, counts or CLAIMS in studies),
            (TIMES, layout.speed_table, CLAIMS in studies),
        ):
            _table(name, path, wanted, old, staged)
        _pictures(plan, layout, list(published.seeds), old, staged)
        told = rebuild_reference(plan, staged)
        kept = keep_sweeps(plan, layout, sweeps, None if old is None else old.folder, staged.folder)
        for path in sorted((staged.folder / "tables").glob("*.csv")):
            check_width(path)
        _swap(staged.folder, folder)
    except OSError as error:
        raise write_error(staged.folder, error) from error
    finally:
        shutil.rmtree(staged.folder, ignore_errors=True)
    listed = "; ".join(f"{name}: seeds {each}" for name, each in sorted(published.seeds.items()))
    listed += f"\n{kept}" if kept else ""
    return (
        f"{len(numbers.results):,} numbers of {published.origin.runs:,} runs are in {folder} "
        f"({len(numbers.runs()) - (0 if old is None else len(old.numbers.runs())):,} of them new)\n"
        f"{told.replace(str(staged.folder), str(folder))}\n{listed}"
    )


def _studies(plan: Plan, scopes: Sequence[str]) -> tuple[list[str], bool]:
    """Return the studies of scopes, with what is judged, and whether one counts parameters."""
    verdicts = set(plan.judged)
    if not scopes:
        return sorted({*plan.studies, *verdicts}), bool(plan.parameter_studies)
    names: set[str] = set()
    for scope in scopes:
        if scope in verdicts or scope in plan.judged_one_by_one:
            names.add(scope)
        elif scope in JUDGED_WITH.values():
            judged = {name for name in verdicts if JUDGED_WITH[name] == scope}
            names |= {*plan.targeted(scope), *judged}
        elif scope in plan.parameter_studies:
            names.add(scope)
        else:
            names.add(plan.study(scope).id)
    counted = names & set(plan.parameter_studies)
    return sorted(names - counted), bool(counted)


def _here(plan: Plan, layout: Layout, studies: Sequence[str]) -> tuple[Numbers, Published]:
    runs = sorted({run for name in studies for run in plan.runs(name)})
    if not runs:
        raise DMPError(
            "sweeps and tables of parameters alone make no reference: publish them with a study"
        )
    baselines = sorted({each for name in studies for each in plan.baselines(name)})
    numbers = gather_numbers(plan, layout, runs, baselines)
    trained = [layout.pretrained(*each) for each in baselines]
    decayed = {each for name in studies for each in plan.decayed(name)}
    trained += [layout.pretrained(*each, DECAYED) for each in sorted(decayed)]
    origin = origin_of([layout.run(*run) for run in runs], trained)
    return numbers, Published(origin=origin, seeds=dict.fromkeys(studies, seeds_of(plan)))


def _merge(plan: Plan, old: Reference, new: Numbers) -> Numbers:
    """Return the numbers of both."""
    try:
        why = outdated(plan, old.numbers)
    except DMPError as error:
        raise DMPError(f"{error}. Or start anew with --replace") from error
    if why:
        raise DMPError(
            f"numbers of different configurations are never mixed: in {old.folder}, {why}. Start "
            f"anew with --replace"
        )
    runs = set(old.numbers.runs()) & set(new.runs())
    names = ["task", "baseline_seed"]
    there, here = (set(map(tuple, n.baselines[names].to_numpy())) for n in (old.numbers, new))
    both = [each.part(runs, there & here).long() for each in (new, old.numbers)]
    rows = compare_numbers(*both)
    differing = rows[rows["verdict"] != IDENTICAL]
    if len(differing):
        raise DMPError(
            f"{len(differing):,} published numbers are not those of the same runs here, first "
            f"{describe(differing.iloc[0])} ({differing.iloc[0].verdict}). Start anew with "
            f"--replace"
        )
    results = pd.concat([old.numbers.results, new.results]).drop_duplicates(KEYS)
    baselines = pd.concat([old.numbers.baselines, new.baselines]).drop_duplicates(names)
    order = ["task", "variant", "seed"]
    results = results.sort_values(order, kind="stable", ignore_index=True)
    return Numbers(results, baselines.sort_values(names, kind="stable", ignore_index=True))


def _joined(plan: Plan, study: str, old: Reference, new: Seeds) -> Seeds:
    page = plan.judged_one_by_one.get(study, study)
    there = old.seeds.get(study, old.seeds.get(page, new))
    first, last = min(there.first, new.first), max(there.last, new.last)
    if max(there.first, new.first) > min(there.last, new.last) + 1:
        raise DMPError(
            f"study {study}: seeds {there} are published, and {new} would leave a gap; a reader "
            f"could not tell it from a choice. Publish those between as well"
        )
    return Seeds(first=first, last=last)


def _table(name: str, path: Path, wanted: bool, old: Reference | None, staged: Reference) -> None:
    """Copy a table that no run has: the present one, or that of the earlier reference."""
    earlier = None if old is None else old.folder / "numbers" / name
    if wanted and not path.is_file():
        raise DMPError(f"{path} does not exist; run the workflow again")
    source = path if wanted else earlier
    if source is not None and source.is_file():
        check_seal(source)
        with atomic_path(staged.folder / "numbers" / name) as temporary:
            shutil.copyfile(source, temporary)


def _pictures(
    plan: Plan, layout: Layout, studies: list[str], old: Reference | None, staged: Reference
) -> None:
    """Copy the figures that draw more than numbers: the present ones, else the earlier ones."""
    if not plan.scale.conclusive:
        return
    for stem in drawn_from_files(plan, studies):
        for root in (layout.root, None if old is None else old.folder):
            found = [] if root is None else sorted((root / "figures").glob(f"*/{stem}*.png"))
            for path in found:
                target = staged.folder / "figures" / path.parent.name / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            if found:
                break


def check_width(path: Path) -> None:
    """Refuse a published table in which baselines are units and an interval has no width.

    Losses and distances of different baselines cannot be equal: they would be one baseline's. Other
    metrics may be constant, such as the entropy of a gate that is.

    Raises:
        DMPError: naming the first such row.
    """
    kinds = {"task": str, "variant": str, "metric": str, "unit": str, "sd": str}
    table = read_csv(path, {})
    if not {*kinds, "units"} <= set(table.columns):
        return
    sd = pd.to_numeric(table["sd"], errors="coerce").to_numpy()
    several = pd.to_numeric(table["units"], errors="coerce").to_numpy() > 1
    continuous = table["metric"].str.match(r"fid$|kid$|(train_)?denoising_(mse|vb)$").to_numpy()
    flat = table[np.equal(sd, 0) & several & continuous & (table["unit"] == "baseline").to_numpy()]
    if len(flat):
        row = flat.iloc[0]
        raise DMPError(
            f"{path.name}: {row.metric} of {row.task}/{row.variant} is the same number for "
            f"{row.units} baselines, so that its interval has no width: their seeds rest on one "
            f"baseline, or were computed from one"
        )


def _swap(new: Path, old: Path) -> None:
    """Put a finished folder in the place of another."""
    before = old.with_name(f".{old.name}.old")
    shutil.rmtree(before, ignore_errors=True)
    if old.is_dir():
        old.rename(before)
    new.rename(old)
    shutil.rmtree(before, ignore_errors=True)
