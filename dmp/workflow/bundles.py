"""Runs that one job does: where training takes seconds, starting Python takes about as long."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from dmp.studies import Plan

Run = tuple[str, str, int]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Bundle:
    """Runs of one task that one job does, one after the other.

    Snakemake is told of a single file, which says that the last run is finished: it deletes all
    outputs of a job before the job starts again, and what was done already has to stay.
    """

    task: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def runs(self) -> list[Run]:
        """All runs, in their order."""
        return [(self.task, variant, seed) for variant in self.variants for seed in self.seeds]


def bundle_of_each_run(plan: Plan) -> dict[Run, Bundle]:
    """Return the bundle of each run of a scale.

    How runs are divided decides no number: another division reruns nothing. No bundle has runs
    of two targets. What is on one page is together, in bundles of its own if it half fills them:
    a page asks for little beside it.
    """
    execution = plan.scale.execution
    together = execution.job == "bundle"
    variants_per_job = execution.variants_per_job if together else 1
    seeds_per_job = execution.seeds_per_job if together else 1
    bundles = [
        Bundle(task, variant_block, seed_block)
        for task, pages in _by_target(plan)
        for variant_block in by_page(pages, variants_per_job)
        for seed_block in _blocks(plan.seeds, seeds_per_job)
    ]
    return {run: bundle for bundle in bundles for run in bundle.runs}


def _by_target(plan: Plan) -> list[tuple[str, list[list[str]]]]:
    """Return tasks, and variants of theirs that a target is the first to ask for, page by page."""
    groups: dict[tuple[str, str], list[list[str]]] = {}
    seen: set[tuple[str, str]] = set()
    for target in ("tables", "studies"):
        pages = [name for name in plan.targeted(target) if name in plan.studies]
        for scope in [*pages, target]:
            own: dict[str, list[str]] = {}
            for task, variant in plan.variants(scope):
                if (task, variant) not in seen:
                    seen.add((task, variant))
                    own.setdefault(task, []).append(variant)
            for task, variants in own.items():
                groups.setdefault((target, task), []).append(variants)
    return [(task, pages) for (_, task), pages in groups.items()]


def by_page(pages: list[list[str]], size: int) -> list[tuple[str, ...]]:
    """Divide the variants of pages into blocks of at most ``size``, as equal as can be.

    Pages with less than half a block go together with those that follow.
    """
    blocks: list[tuple[str, ...]] = []
    waiting: list[str] = []
    for page in pages:
        waiting += page
        if 2 * len(waiting) >= size:
            count, end = math.ceil(len(waiting) / size), len(waiting)
            ends = [end * k // count for k in range(count + 1)]
            blocks += [tuple(waiting[a:b]) for a, b in pairwise(ends)]
            waiting = []
    if blocks and len(blocks[-1]) + len(waiting) <= size:
        return [*blocks[:-1], (*blocks[-1], *waiting)]
    return blocks + _blocks(waiting, size)


def _blocks(items: list[Item], size: int) -> list[tuple[Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
