"""What each table costs by itself and beside others, and which tables to make first."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dmp.planning.cost import Job, Key, run_keys
from dmp.planning.rates import Time
from dmp.studies import Plan

CLAIMS = "claims"  # the scope of that name


@dataclass(frozen=True)
class Table:
    """A table, figure or study, or the page of verdicts, and the jobs that it takes.

    Attributes:
        name: of the study, or ``claims``.
        paper: whether the paper shows it (or claims it), or it is a question of ours.
        rows: how many rows of it this scale fills; of ``claims``, how many claims.
        runs: how many runs it shows, seeds counted.
        jobs: keys of all jobs that it rests on.

    """

    name: str
    paper: bool
    rows: int
    runs: int
    jobs: frozenset[Key]


@dataclass(frozen=True)
class Step:
    """A table in the order in which tables are made.

    Attributes:
        table: the table.
        alone: GPU time if it were the only one.
        added: GPU time beside the tables before it.
        disk: bytes that it adds.
        total: GPU time of all tables so far.
        wall: bounds of the wall time of all tables so far, in seconds; see :func:`wall_time`.
        claims: how many claims can be judged by all runs so far.
        fits: whether the budget allows it.

    """

    table: Table
    alone: Time
    added: Time
    disk: int
    total: Time
    wall: tuple[float, float]
    claims: int
    fits: bool


def closure(keys: Iterable[Key], jobs: dict[Key, Job]) -> frozenset[Key]:
    """Return jobs and all that they rest on."""
    found: set[Key] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += jobs[key].needs
    return frozenset(found)


def tables(plan: Plan, jobs: dict[Key, Job]) -> list[Table]:
    """Return every table of a plan; one that needs no run has no jobs."""
    found = [
        Table(name, study.target == "tables", len(study.cells), 0, frozenset())
        for name, study in plan.parameter_studies.items()
    ]
    scopes = {name: sum(c.not_run is None for c in s.cells) for name, s in plan.studies.items()}
    shown = {*plan.targeted("tables"), CLAIMS}
    if plan.claims is not None:
        scopes[CLAIMS] = len(plan.claims.claims)
    for name, rows in scopes.items():
        runs = plan.runs(name)
        keys = [key for run in runs for key in run_keys(run)]
        found.append(Table(name, name in shown, rows, len(runs), closure(keys, jobs)))
    return sorted(found, key=lambda table: table.name)


def judged(plan: Plan, done: Collection[Key]) -> int:
    """Return how many claims have all that this scale does for them.

    A claim of which nothing is tested, or only at tasks that the scale leaves out, never counts.
    """
    count = 0
    for claim in plan.claims.claims if plan.claims else ():
        tested = [piece for piece in claim.evidence if piece.test != "untested"]
        tasks = {getattr(piece, "task", None) for piece in tested}
        if not tasks & {None, *plan.scale.tasks}:
            continue
        runs = [run for piece in tested for run in piece.runs() if run[0] in plan.scale.tasks]
        needed = [key for t, v in runs for seed in plan.seeds for key in run_keys((t, v, seed))]
        # Speed is timed on the baseline, without a run.
        timed = {p.task for p in tested if p.test == "speed"} & set(plan.scale.tasks)
        seed = str(plan.baseline_seed(plan.seeds[0]))
        needed += [("baseline", task, seed) for task in timed]
        count += all(key in done for key in needed)
    return count


def total(keys: Iterable[Key], jobs: dict[Key, Job]) -> Time:
    """Return the GPU time of jobs."""
    return sum((jobs[key].time for key in sorted(keys)), Time())


def disk(keys: Iterable[Key], jobs: dict[Key, Job]) -> int:
    """Return the bytes that jobs leave."""
    return sum(jobs[key].disk for key in keys)


def wall_time(keys: Collection[Key], jobs: dict[Key, Job], count: int) -> tuple[float, float]:
    """Return bounds of the wall time of jobs on ``count`` GPUs, in seconds.

    A job that k GPUs share counts as k jobs with a k-th of its time. With W the sum of all jobs and
    C the longest chain of jobs that wait for one another, no order takes less than
    ``max(W / m, C)`` on m GPUs, and one that never leaves a GPU idle while a job is ready takes at
    most ``W / m + (1 - 1 / m) C`` (Graham 1966).
    """
    work = total(keys, jobs).seconds
    chain = longest_chain(keys, jobs)
    return max(work / count, chain), work / count + (1 - 1 / count) * chain


def longest_chain(keys: Collection[Key], jobs: dict[Key, Job]) -> float:
    """Return the seconds of the longest chain of jobs that wait for one another."""
    ends: dict[Key, float] = {}
    # Jobs come after those that they need.
    for key in (key for key in jobs if key in keys):
        before = max((ends[need] for need in jobs[key].needs), default=0.0)
        ends[key] = before + jobs[key].time.seconds / jobs[key].gpus
    return max(ends.values(), default=0.0)


def order(plan: Plan, jobs: dict[Key, Job], count: int, budget: float | None = None) -> list[Step]:
    """Return all tables in the order in which to make them.

    What the paper shows and claims comes before our own questions. Within each, next comes the
    table with the most rows per GPU-hour that it adds to those before it; what shares all its runs
    with them adds none and comes first. With a budget only tables that still
    fit into what is left of it are looked at; those that never fit are at the end, each with what
    it would add to those that do.

    Args:
        plan: the scale and its studies.
        jobs: from :func:`dmp.planning.cost.jobs`.
        count: GPUs.
        budget: GPU-hours, or None for no limit.

    """
    waiting, done, steps = tables(plan, jobs), frozenset[Key](), []

    def added(table: Table) -> Time:
        return total(table.jobs - done, jobs)

    def rank(table: Table) -> tuple[bool, float, str]:
        seconds = added(table).seconds
        rate = table.rows / seconds if seconds else float("inf")
        return not table.paper, -rate, table.name

    def step(table: Table, reached: frozenset[Key], fits: bool) -> Step:
        return Step(
            table,
            total(table.jobs, jobs),
            added(table),
            disk(table.jobs - done, jobs),
            total(reached, jobs),
            wall_time(reached, jobs, count),
            judged(plan, reached),
            fits,
        )

    limit = float("inf") if budget is None else budget * 3600
    while waiting:
        fitting = [t for t in waiting if total(t.jobs | done, jobs).seconds <= limit]
        if not fitting:
            break
        table = min(fitting, key=rank)
        waiting.remove(table)
        steps.append(step(table, done | table.jobs, True))
        done |= table.jobs
    return steps + [step(table, done | table.jobs, False) for table in sorted(waiting, key=rank)]
