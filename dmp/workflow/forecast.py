"""When a call of Snakemake will be ready, from what its own jobs have cost so far."""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class _Running(NamedTuple):
    rule: str
    since: float


class Forecast:
    """What is left of the jobs of a call; all times are in seconds.

    A job is taken to cost what those of its rule have cost on average: in this call, or, until one
    has finished, in earlier ones, or as far as those that are running let expect. What rests on a
    rule without any of it is a lower bound. ``jobs`` says how many of each rule there are.
    """

    def __init__(self, jobs: Mapping[str, int], start: float) -> None:
        self.total = sum(jobs.values())
        self._left = Counter(jobs)
        self._start = start
        self._costs: defaultdict[str, list[float]] = defaultdict(list)
        self._earlier: dict[str, list[float]] = {}
        self._running: dict[int, _Running] = {}
        self._expected: dict[int, float] = {}

    def begin(self, job: int, rule: str, now: float, benchmark: Path | None = None) -> None:
        """Note that a job has begun; ``benchmark`` is where Snakemake will write what it cost."""
        self._running[job] = _Running(rule, now)
        if benchmark is not None and rule not in self._earlier:
            self._earlier[rule] = _measured_before(benchmark)

    def expect(self, job: int, seconds: float) -> None:
        """Note how long a running job will have taken at its end, as far as one can see."""
        self._expected[job] = seconds

    def finish(self, job: int, now: float) -> None:
        """Note that a job has finished."""
        if (begun := self._running.pop(job, None)) is not None:
            self._costs[begun.rule].append(now - begun.since)
            self._left[begun.rule] -= 1

    def fail(self, job: int) -> None:
        """Note that a job has failed; it may begin again."""
        self._running.pop(job, None)

    @property
    def finished(self) -> int:
        """How many jobs have finished."""
        return self.total - sum(self._left.values())

    @property
    def running(self) -> Counter[str]:
        """How many jobs of each rule are running."""
        return Counter(each.rule for each in self._running.values())

    def ready(self, now: float) -> tuple[float, bool]:
        """Return when all will be done, and whether that is an estimate and not a lower bound."""
        costs = {rule: self._cost(rule) for rule, count in self._left.items() if count}
        left = sum(self._left[rule] * (cost or 0.0) for rule, cost in costs.items())
        spent = sum(map(sum, self._costs.values()))
        for rule, since in self._running.values():
            spent += now - since
            # One that takes longer than the others did is about to finish.
            left -= min(now - since, costs.get(rule) or 0.0)
        at_once = max(1.0, spent / (now - self._start)) if now > self._start else 1.0
        return now + left / at_once, None not in costs.values()

    def _cost(self, rule: str) -> float | None:
        running = [job for job, each in self._running.items() if each.rule == rule]
        expected = [self._expected[job] for job in running if job in self._expected]
        measured = self._costs.get(rule) or self._earlier.get(rule) or expected
        return sum(measured) / len(measured) if measured else None


def _measured_before(benchmark: Path) -> list[float]:
    """Return the seconds of all jobs of a rule: of the folder in ``benchmarks/`` of one of them."""
    names = benchmark.parts[:-1]
    if "benchmarks" not in names[:-1]:
        return []
    seconds = []
    for path in Path(*names[: names.index("benchmarks") + 2]).rglob("*.tsv"):
        try:
            with path.open(encoding="utf-8", newline="") as file:
                seconds += [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
        except (OSError, KeyError, TypeError, ValueError):
            continue  # being written, or cut off by a kill: the others do
    return seconds
