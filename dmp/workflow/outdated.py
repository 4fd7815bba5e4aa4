"""What is there already, and what of it an edit has made obsolete."""

import atexit
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dmp.numerics import check as check_numerics
from dmp.products.recognise import Found, recognise, recognise_sweep
from dmp.sweeps.files import SweepFiles
from dmp.temporaries import remove_left_over
from dmp.workflow.recovery import forget_incomplete
from dmp.workflow.scales import Scales
from dmp.workflow.sweeps import Sweeps
from dmp.workflow.wildcards import Wildcards, value

Newer = Callable[[Wildcards], list[Path]]


class Recognition:
    """Asked once for each scale and sweep, before any of its jobs is planned.

    Args:
        plans_jobs: whether this process does. A job's own process does not, nor does one that
            unlocks the folder or lints the rules: they look at nothing.
        begin: called once, before the first scale is looked at; returns whether this is a dry run,
            in which nothing is cleared up.
    """

    def __init__(
        self, scales: Scales, sweeps: Sweeps, plans_jobs: bool, begin: Callable[[], bool]
    ) -> None:
        self.scales, self.sweeps, self.plans_jobs = scales, sweeps, plans_jobs
        self.begin = functools.cache(begin)
        self.scale = functools.cache(self._scale)
        self.sweep = functools.cache(self._sweep)

    def _scale(self, scale: str) -> Found:
        if not self.plans_jobs:
            return Found()
        self.begin()
        plan, layout = self.scales.plan(scale), self.scales.layout(scale)
        # Every job of the scale would end with this error.
        check_numerics(plan.scale.numerics, f"scale '{scale}'")
        return self._went_on(recognise(plan, layout), layout.root, f"scale {scale}")

    def _went_on(self, found: Found, root: Path, what: str) -> Found:
        """Clear up behind killed jobs, say what was recognised, and return it."""
        if not self.begin():
            forget_incomplete(found.files)
            remove_left_over(root)
        if found.moved:
            moved = f"recognised {found.moved} results of {what} that were moved here"
            print(moved, file=sys.stderr)
        if found.kept:
            print(
                f"warning: {found.kept} results of {what} are what they should be, but their times "
                f"cannot be set: they are another user's, or nothing can be written there. Jobs "
                f"may run again that need not",
                file=sys.stderr,
            )
        return found

    def _sweep(self, sweep: str, scale: str) -> Found:
        checked = self.sweeps.checked(sweep, scale)
        if not self.plans_jobs:
            return Found()
        self.scale(scale)  # what it rests on comes first
        plan, layout = self.scales.plan(scale), self.scales.layout(scale)
        found = recognise_sweep(plan, layout, checked)
        root = SweepFiles(layout, sweep).root
        return self._went_on(found, root, f"sweep {sweep} at scale {scale}")

    def outdated(self, stage: str, *names: str) -> Newer:
        """Return an input function of a rule: a newer file, where its output is outdated.

        Args:
            stage: of the product that the rule makes.
            names: the wildcards that say which product of the stage it is; ``sweep`` is among
                those of what a sweep makes.
        """

        def newer(wildcards: Wildcards) -> list[Path]:
            of_sweep = "sweep" in names
            found = (
                self.sweep(wildcards.sweep, wildcards.scale)
                if of_sweep
                else self.scale(wildcards.scale)
            )
            product = (stage, tuple(value(wildcards, name) for name in names))
            return [newer_than(found.newest)] if product in found.outdated else []

        return newer

    def unfinished(self, scale: str, task: str, variant: str, seed: int) -> list[Path]:
        """As :meth:`outdated`, for a bundle: where one of its runs is outdated, or not there."""
        found, layout = self.scale(scale), self.scales.layout(scale)
        if not self.plans_jobs:
            return []
        runs = self.scales.bundle(scale, (task, variant, seed)).runs
        stages = ("weights", "samples", "metrics")
        outdated = {(stage, run) for stage in stages for run in runs} & found.outdated
        missing = not all(layout.finished(*run).exists() for run in runs)
        return [newer_than(found.newest)] if outdated or missing else []


@functools.cache
def newer_than(moment: float) -> Path:
    """Return a file that is newer than all that was there: input of what has to run again.

    It is this process's own, and not among the results: these need not be writable to be looked at,
    and several processes that share them do not meet. Its name is new each time, since Snakemake
    takes a file that it has seen with the same content for unchanged.
    """
    # Not in a folder of the system: jobs on other machines wait until they see it.
    folder = Path(".snakemake/outdated").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}-{time.time_ns()}"
    path.touch()
    atexit.register(path.unlink, missing_ok=True)
    later = int(moment * 1e9) + 1_000_000
    os.utime(path, ns=(later, later))
    return path
