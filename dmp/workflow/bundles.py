"""Runs that one job does: where training takes seconds, starting Python takes about as long."""

from dataclasses import dataclass
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
    of two targets, and what is on one page is together: a page asks for little beside it.
    """
    execution = plan.scale.execution
    together = execution.job == "bundle"
    variants_per_job = execution.variants_per_job if together else 1
    seeds_per_job = execution.seeds_per_job if together else 1
    bundles = [
        Bundle(task, variant_block, seed_block)
        for task, variants in _by_target(plan)
        for variant_block in _blocks(variants, variants_per_job)
        for seed_block in _blocks(plan.seeds, seeds_per_job)
    ]
    return {run: bundle for bundle in bundles for run in bundle.runs}


def _by_target(plan: Plan) -> list[tuple[str, list[str]]]:
    """Return tasks, and variants of theirs that a target is the first to ask for, page by page."""
    groups: dict[tuple[str, str], list[str]] = {}
    seen: set[tuple[str, str]] = set()
    for target in ("tables", "studies"):
        pages = [name for name in plan.targeted(target) if name in plan.studies]
        for scope in [*pages, target]:
            for task, variant in plan.variants(scope):
                if (task, variant) not in seen:
                    seen.add((task, variant))
                    groups.setdefault((target, task), []).append(variant)
    return [(task, variants) for (_, task), variants in groups.items()]


def _blocks(items: list[Item], size: int) -> list[tuple[Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
