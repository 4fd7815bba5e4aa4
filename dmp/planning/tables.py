"""What a scale's stages, baselines and tables cost: frames of numbers, for text and CSV alike."""

from collections.abc import Collection, Iterable

import pandas as pd

from dmp.planning.cost import Job, Key, run_keys
from dmp.planning.rates import Time
from dmp.studies import Plan
from dmp.studies.judged import left_out
from dmp.studies.plan import CLAIMS

Jobs = dict[Key, Job]


def total(keys: Iterable[Key], jobs: Jobs) -> Time:
    """Return the GPU time of jobs."""
    return sum((jobs[key].time for key in sorted(keys)), Time())


def gigabytes(keys: Iterable[Key], jobs: Jobs) -> float:
    """Return what jobs leave on the disk."""
    return sum(jobs[key].disk for key in keys) / 1e9


def wall_hours(keys: Collection[Key], jobs: Jobs, count: int) -> tuple[float, float]:
    """Return bounds of the wall time of jobs on ``count`` GPUs.

    A job that k GPUs share counts as k jobs with a k-th of its time. With W the sum of all jobs and
    C the longest chain of jobs that wait for one another, no order takes less than
    ``max(W / m, C)`` on m GPUs, and one that never leaves a GPU idle while a job is ready takes at
    most ``W / m + (1 - 1 / m) C`` (Graham 1966).
    """
    work, chain = total(keys, jobs).hours, longest_chain(keys, jobs)
    return max(work / count, chain), work / count + (1 - 1 / count) * chain


def longest_chain(keys: Collection[Key], jobs: Jobs) -> float:
    """Return the hours of the longest chain of jobs that wait for one another."""
    ends: dict[Key, float] = {}
    # Jobs come after those that they need.
    for key in (key for key in jobs if key in keys):
        before = max((ends[need] for need in jobs[key].needs), default=0.0)
        ends[key] = before + jobs[key].time.hours / jobs[key].gpus
    return max(ends.values(), default=0.0)


def closure(keys: Iterable[Key], jobs: Jobs) -> frozenset[Key]:
    """Return jobs and all that they rest on."""
    found = set(keys)
    for key in reversed(jobs):
        if key in found:
            found.update(jobs[key].needs)
    return frozenset(found)


def job_table(jobs: Jobs) -> pd.DataFrame:
    """Return a row for each job."""
    return pd.DataFrame(
        {
            "stage": key[0],
            "of": "/".join(key[1:]),
            "GPU-hours": job.time.hours,
            "origin": job.time.origin,
            "GPUs": job.gpus,
            "disk, GB": job.disk / 1e9,
            "weights": job.weights,
        }
        for key, job in jobs.items()
    )


def stage_table(jobs: Jobs) -> pd.DataFrame:
    """Return a row for each stage."""
    stages: dict[str, list[Key]] = {}
    for key in jobs:
        stages.setdefault(key[0], []).append(key)
    return pd.DataFrame(
        {
            "stage": stage,
            "jobs": len(keys),
            "GPU-hours": total(keys, jobs).hours,
            "origin": total(keys, jobs).origin,
            "disk, GB": gigabytes(keys, jobs),
        }
        for stage, keys in stages.items()
    )


def cost_table(plan: Plan, jobs: Jobs, count: int, budget: float | None = None) -> pd.DataFrame:
    """Return a row for each table, figure or study, and one for each page of verdicts.

    What the paper shows and claims comes before our own questions, the cheapest first. A table adds
    what those above it do not share. With a budget, in GPU-hours, one that does not fit
    beside those above it is passed over: nothing below it rests on its runs.
    """
    shown = {*plan.targeted("tables"), CLAIMS}
    sizes = {name: len(study.cells) for name, study in plan.parameter_studies.items()}
    runs: dict[str, list[tuple[str, str, int]]] = {name: [] for name in sizes}
    for name, study in plan.studies.items():
        sizes[name] = sum(cell.not_run is None for cell in study.cells)
        runs[name] = plan.runs(name)
    for scope, claims in plan.judged.items():
        sizes[scope], runs[scope] = len(claims.claims), plan.runs(scope)
    keys = {
        name: closure((key for run in each for key in run_keys(run)), jobs)
        for name, each in runs.items()
    }
    alone = {name: total(each, jobs) for name, each in keys.items()}
    rows, done = [], frozenset[Key]()
    for name in sorted(sizes, key=lambda name: (name not in shown, alone[name].hours, name)):
        reached = done | keys[name]
        so_far, wall = total(reached, jobs).hours, wall_hours(reached, jobs, count)
        fits = budget is None or so_far <= budget
        rows.append(
            {
                "table": name,
                "rows": sizes[name],
                "runs": len(runs[name]),
                "alone, GPU-h": alone[name].hours,
                "origin": alone[name].origin,
                "adds, GPU-h": total(keys[name] - done, jobs).hours,
                "adds, GB": gigabytes(keys[name] - done, jobs),
                "so far, GPU-h": so_far,
                "so far, GB": gigabytes(reached, jobs),
                "wall so far, at least, h": wall[0],
                "at most, h": wall[1],
                "claims judged": judged(plan, reached),
                "fits": "yes" if fits else "no",
            }
        )
        done = reached if fits else done
    return pd.DataFrame(rows)


def judged(plan: Plan, done: Collection[Key]) -> int:
    """Return how many claims have all that this scale does for them.

    A claim of which nothing is tested, or only at tasks that the scale leaves out, never counts.
    """
    if plan.claims is None:
        return 0
    count, absent = 0, left_out(plan.claims, plan.scale)
    for claim in plan.claims.claims:
        if claim.id in absent:
            continue
        tested = [piece for piece in claim.evidence if piece.test != "untested"]
        tasks = {getattr(piece, "task", None) for piece in tested}
        if not tasks & {None, *plan.scale.tasks}:
            continue
        runs = [run for piece in tested for run in piece.runs() if run[0] in plan.scale.tasks]
        needed = [key for t, v in runs for seed in plan.seeds for key in run_keys((t, v, seed))]
        # Speed is timed on the baseline, without a run.
        timed = {task for piece in tested for task, _ in piece.timed()} & set(plan.scale.tasks)
        seed = str(plan.baseline_seed(plan.seeds[0]))
        needed += [("baseline", task, seed) for task in timed]
        count += all(key in done for key in needed)
    return count
