"""What the rules of sweeps ask."""

import functools
from collections.abc import Callable
from pathlib import Path

from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import fresh_seeds, load_space, load_sweep, search_seeds, sweep_names
from dmp.sweeps.schema import Sweep
from dmp.workflow.inputs import Inputs
from dmp.workflow.scales import Scales


class Sweeps:
    """Sweeps by name and scale, and the files that their jobs are made from."""

    def __init__(self, scales: Scales, inputs: Inputs) -> None:
        self.scales, self.inputs = scales, inputs
        self.ablations = scales.settings.ablations
        self.sweep = functools.cache(lambda sweep: load_sweep(self.ablations, sweep))
        self.checked = functools.cache(self._checked)

    def _checked(self, sweep: str, scale: str) -> Sweep:
        """Return a sweep whose points can exist at a scale, before a baseline is trained for it."""
        found = self.sweep(sweep)
        load_space(self.ablations, found, self.scales.plan(scale))
        return found

    def _files(self, sweep: str, scale: str) -> SweepFiles:
        return SweepFiles(self.scales.layout(scale), sweep)

    def search(self, sweep: str, scale: str) -> list[Path]:
        """What the trials rest on."""
        return self._rests_on(sweep, scale, search_seeds)

    def confirmation(self, sweep: str, scale: str) -> list[Path]:
        """What the runs with fresh seeds rest on."""
        return self._rests_on(sweep, scale, fresh_seeds)

    def _rests_on(self, sweep: str, scale: str, seeds: Callable[..., list[int]]) -> list[Path]:
        found = self.checked(sweep, scale)
        chosen = seeds(found, self.scales.plan(scale))
        # The sweeps' points begin with the baselines of the paper's recipe.
        return self.inputs.whole_runs(scale, found.task, ["baseline"], chosen)

    def workers(self, sweep: str, scale: str) -> list[Path]:
        """The summaries of all workers."""
        files = self._files(sweep, scale)
        return [files.worker_summary(number) for number in range(self.sweep(sweep).workers)]

    def confirmed(self, sweep: str, scale: str) -> list[Path]:
        """The numbers of the best points with fresh seeds, and of the base, which is point 0."""
        files = self._files(sweep, scale)
        points = self.sweep(sweep).confirmation.points
        return [files.confirmation(point) for point in range(points + 1)]

    def pages(self, scale: str) -> list[Path]:
        """The pages of all sweeps that are run at a scale."""
        tasks = self.scales.plan(scale).scale.tasks
        sweeps = [self.sweep(name) for name in sweep_names(self.ablations)]
        run = [s for s in sweeps if scale in (s.scales or [scale]) and s.task in tasks]
        return [self._files(sweep.id, scale).pages()[0] for sweep in run]
