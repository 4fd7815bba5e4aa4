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

    How runs are divided decides no number: another division reruns nothing.
    """
    execution = plan.scale.execution
    together = execution.job == "bundle"
    variants_per_job = execution.variants_per_job if together else 1
    seeds_per_job = execution.seeds_per_job if together else 1
    by_task: dict[str, list[str]] = {}
    for task, variant in plan.variants():
        by_task.setdefault(task, []).append(variant)
    bundles = [
        Bundle(task, variant_block, seed_block)
        for task, variants in by_task.items()
        for variant_block in _blocks(variants, variants_per_job)
        for seed_block in _blocks(plan.seeds, seeds_per_job)
    ]
    return {run: bundle for bundle in bundles for run in bundle.runs}


def _blocks(items: list[Item], size: int) -> list[tuple[Item, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
