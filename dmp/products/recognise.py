"""What is there already of a scale, wherever it was made."""

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.products.prepared import prepared_products
from dmp.products.product import Product, read_record
from dmp.products.results import (
    numbers_product,
    page_product,
    parameters_product,
    speed_product,
    tracking_product,
    verdicts_product,
)
from dmp.products.runs import baseline_product, convergence_product, run_products
from dmp.products.sweeps import SweepProducts
from dmp.recipes import DECAYED
from dmp.studies import Plan
from dmp.studies.plan import SCOPES
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.schema import Sweep

# Files made this long after their record are not where they were made; seconds.
_MOVED_AFTER = 600.0


@dataclass(frozen=True)
class Found:
    """What is there of a scale, or of a sweep.

    Attributes:
        current: how many products are what the plan asks for.
        moved: how many products had the times of a copy, and have their own again.
        kept: how many have the times of a copy still, since these could not be set.
        outdated: stage and names of what is there but not what the plan asks for.
        newest: the time of the newest of all these files, since 1970 in seconds.
        files: all that is current.
    """

    current: int = 0
    moved: int = 0
    kept: int = 0
    outdated: frozenset[tuple[str, tuple[str | int, ...]]] = frozenset()
    newest: float = 0.0
    files: tuple[Path, ...] = ()


def recognise(plan: Plan, layout: Layout) -> Found:
    """Compare what is there with the plan, and give all that is current the times of its making.

    Afterwards whatever was computed from something is not older than it, although the files may
    have been copied, as long as each still is what its record says.

    Raises:
        DMPError: records are damaged.
    """
    return _recognise(all_products(plan, layout), layout.root, layout.benchmarks)


def recognise_sweep(plan: Plan, layout: Layout, sweep: Sweep) -> Found:
    """As :func:`recognise`, for what a sweep makes of its own."""
    root = SweepFiles(layout, sweep.id).root
    return _recognise(SweepProducts(plan, layout, sweep), root, root / "benchmarks")


def _recognise(products: Iterable[Product], root: Path, benchmarks: Path) -> Found:
    if not root.is_dir():
        return Found()
    current, moved, kept, newest, outdated, damaged = 0, 0, 0, 0.0, set(), []
    files: list[Path] = []
    read = functools.cache(read_record)  # those of runs are asked for by every table
    now = time.time()
    for product in products:
        try:
            found = product.current(read)
        except DMPError as error:
            damaged.append(str(error))
            continue
        if found is not None:
            current += 1
            files += product.watched
            # Another machine's clock may be ahead of ours; what is made now has to be newer.
            finished = min(found.finished, now)
            was_moved, is_still = _restore_times(product, finished)
            moved += was_moved and not is_still
            kept += is_still
            newest = max(newest, _newest(product, now) if is_still else finished)
        elif product.exists():
            outdated.add((product.stage, product.names))
            newest = max(newest, _newest(product, now))
    if damaged:
        # All that are damaged have one cause, most likely, and one remedy.
        others = sorted(set(damaged))[1:]
        raise DMPError(min(damaged) + (f"; and {len(others)} more like it" if others else ""))
    # Snakemake counts what it has measured of a job among its outputs: never the oldest of them.
    for path in benchmarks.rglob("*.tsv"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < newest:
                os.utime(path, (newest, newest))
    return Found(current, moved, kept, frozenset(outdated), newest, tuple(files))


def _times(product: Product) -> Iterator[Path]:
    """Yield what Snakemake reads the times of a product's files from."""
    for path in product.watched:
        # It keeps the time of a folder in a file inside.
        yield from (path / ".snakemake_timestamp", path)


def _restore_times(product: Product, finished: float) -> tuple[bool, bool]:
    """Give a product's files the time of its making.

    Return whether they had that of a copy, and whether one still has it: of another user's files
    the times cannot be set, nor where nothing can be written.
    """
    moved = kept = False
    for path in _times(product):
        try:
            found = path.stat().st_mtime
        except OSError:
            continue  # not there
        copied = not -2 < found - finished < _MOVED_AFTER
        moved = moved or copied
        try:
            if found != finished:
                os.utime(path, (finished, finished))
        except OSError:
            kept = kept or copied
    return moved, kept


def _newest(product: Product, now: float) -> float:
    """Return the time of the newest of a product's files; none is in the future afterwards."""
    newest = 0.0
    for path in _times(product):
        with contextlib.suppress(OSError):
            found = path.stat().st_mtime
            if found > now:
                with contextlib.suppress(OSError):
                    os.utime(path, (now, now))
                    found = now
            newest = max(newest, found)
    return newest


def all_products(plan: Plan, layout: Layout) -> Iterator[Product]:
    """Yield everything that the workflow makes at a scale but its sweeps, first things first."""
    yield from prepared_products(plan, layout)
    for task, seed in plan.baselines():
        yield baseline_product(layout, plan.pretraining(task, seed))
    for task, seed in plan.checked():
        yield convergence_product(layout, plan.pretraining(task, seed))
    for task, seed in plan.decayed():
        yield baseline_product(layout, plan.pretraining(task, seed, DECAYED))
    for names in plan.runs():
        yield from run_products(layout, plan.run(*names)).values()
    for scope in [*plan.studies, *SCOPES, *plan.judged_one_by_one]:
        yield numbers_product(plan, layout, scope)
    yield parameters_product(plan, layout)
    yield speed_product(plan, layout)
    for study in {**plan.studies, **plan.parameter_studies}:
        yield page_product(plan, layout, study)
    for scope in plan.judged:
        yield verdicts_product(plan, layout, scope)
    for target in ("tables", "studies"):
        yield tracking_product(plan, layout, target)
