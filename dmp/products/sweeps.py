"""What the jobs of a sweep make: its workers' summaries, the confirmed best points, its page."""

import functools
from collections.abc import Iterator
from pathlib import Path

from dmp.layout import Layout
from dmp.products.product import Product
from dmp.products.runs import data_records, extractor_records
from dmp.studies import Plan
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import fresh_seeds, page_fingerprint, search_seeds, sweep_fingerprint
from dmp.sweeps.schema import Sweep


class SweepProducts:
    """What the jobs of one sweep make at a scale.

    Trials themselves are none of it: they stand in the sweep's journal, which says what each is of,
    so that a worker that runs again takes only what is left.
    """

    def __init__(self, plan: Plan, layout: Layout, sweep: Sweep) -> None:
        self._plan, self._layout, self._sweep = plan, layout, sweep
        self._files = SweepFiles(layout, sweep.id)
        # All jobs share it, and it takes a second to check the points of a large space.
        self._search = functools.cache(lambda: sweep_fingerprint(sweep, plan))

    def __iter__(self) -> Iterator[Product]:
        """Yield all of it, first things first."""
        yield from map(self.worker, range(self._sweep.workers))
        yield from map(self.confirmation, range(self._sweep.confirmation.points + 1))
        yield self.page()

    def worker(self, number: int) -> Product:
        """Return what a worker leaves when there is nothing more to do for it."""
        return Product(
            "sweep_worker",
            (self._sweep.id, number),
            self._search,
            self._record(f"worker{number}"),
            (self._files.worker_summary(number),),
            self._inputs(search_seeds(self._sweep, self._plan)),
        )

    def confirmation(self, point: int) -> Product:
        """Return the numbers of one of the best points with fresh seeds, or of the base."""
        return Product(
            "sweep_confirm",
            (self._sweep.id, point),
            self._search,
            self._record(f"point{point}"),
            (self._files.confirmation(point),),
            (*self._workers(), *self._inputs(fresh_seeds(self._sweep, self._plan))),
        )

    def page(self) -> Product:
        """Return the sweep's tables and plots."""
        files, points = self._files, self._sweep.confirmation.points
        tables = (*files.pages(), files.trials, files.confirmed, files.best, files.interactive)
        return Product(
            "sweep_report",
            (self._sweep.id,),
            lambda: page_fingerprint(self._sweep, self._plan),
            self._record("page"),
            (*tables, files.figures),
            (*self._workers(), *(self._record(f"point{point}") for point in range(points + 1))),
        )

    def _record(self, name: str) -> Path:
        return self._layout.record(name, self._files.root)

    def _workers(self) -> tuple[Path, ...]:
        return tuple(self._record(f"worker{number}") for number in range(self._sweep.workers))

    def _inputs(self, seeds: list[int]) -> tuple[Path, ...]:
        """Return the records of what runs with these seeds rest on."""
        task, layout = self._sweep.task, self._layout
        config = self._plan.scale.tasks[task]
        baselines = sorted({self._plan.baseline_seed(seed) for seed in seeds})
        return (
            *(layout.record("baseline", layout.pretrained(task, seed)) for seed in baselines),
            layout.record(f"reference/{task}"),
            *extractor_records(layout, config),
            *data_records(layout, task, config),
        )
