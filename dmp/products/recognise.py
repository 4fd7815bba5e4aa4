"""What is there already of a scale, wherever it was made."""

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass

from dmp.layout import Layout
from dmp.products.prepared import prepared_products
from dmp.products.product import Product, read_record
from dmp.products.results import (
    claims_product,
    numbers_product,
    page_product,
    parameters_product,
    speed_product,
    tracking_product,
)
from dmp.products.runs import baseline_product, convergence_product, run_products
from dmp.studies import Plan
from dmp.studies.plan import SCOPES

# Files made this long after their record are not where they were made; seconds.
_MOVED_AFTER = 600.0


@dataclass(frozen=True)
class Found:
    """What is there of a scale.

    Attributes:
        current: how many products are what the plan asks for.
        moved: how many products had the times of a copy, and have their own again.
        outdated: stage and names of what is there but not what the plan asks for.

    """

    current: int
    moved: int
    outdated: frozenset[tuple[str, tuple[str | int, ...]]]


def recognise(plan: Plan, layout: Layout) -> Found:
    """Compare what is there with the plan, and give all that is current the times of its making.

    Afterwards whatever was computed from something is not older than it, although the files may
    have been copied, as long as each still is what its record says.
    """
    current, moved, latest, outdated = 0, 0, 0.0, set()
    read = functools.cache(read_record)  # those of runs are asked for by every table
    for product in all_products(plan, layout) if layout.root.is_dir() else ():
        if product.is_current(read):
            current += 1
            finished = read(product.record)["finished"]
            moved += _restore_times(product, finished)
            latest = max(latest, finished)
        elif product.exists():
            outdated.add((product.stage, product.names))
    # Snakemake counts what it has measured of a job among its outputs: never the oldest of them.
    for path in layout.benchmarks.rglob("*.tsv"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < latest:
                os.utime(path, (latest, latest))
    return Found(current, moved, frozenset(outdated))


def _restore_times(product: Product, finished: float) -> bool:
    """Give a product's files the time of its making; return whether they had that of a copy."""
    moved = False
    for path in (*product.files, *([product.receipt] if product.receipt else [])):
        # Snakemake keeps the time of a folder in a file inside.
        for each in (path / ".snakemake_timestamp", path):
            try:
                found = each.stat().st_mtime
                if found != finished:
                    os.utime(each, (finished, finished))
                moved = moved or not -2 < found - finished < _MOVED_AFTER
            except OSError:
                continue  # not there, or another user's, whose times are as they were made
    return moved


def all_products(plan: Plan, layout: Layout) -> Iterator[Product]:
    """Yield everything that the workflow makes at a scale, first things first."""
    yield from prepared_products(plan, layout)
    for task, seed in plan.baselines():
        run = plan.pretraining(task, seed)
        yield baseline_product(layout, run)
        yield convergence_product(layout, run)
    for names in plan.runs():
        yield from run_products(layout, plan.run(*names)).values()
    for scope in [*plan.studies, *SCOPES]:
        yield numbers_product(plan, layout, scope)
    yield parameters_product(plan, layout)
    yield speed_product(plan, layout)
    for study in {**plan.studies, **plan.parameter_studies}:
        yield page_product(plan, layout, study)
    if plan.claims is not None:
        yield claims_product(plan, layout)
    for target in ("tables", "studies"):
        yield tracking_product(plan, layout, target)
