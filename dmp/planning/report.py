"""The cost of a scale, as text for people and as CSV."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_text
from dmp.planning.cost import STAGES, Job, Key, jobs
from dmp.planning.rates import Rates, Time
from dmp.planning.tables import Step, disk, longest_chain, order, total, wall_time
from dmp.planning.throughput import (
    THROUGHPUT,
    Throughput,
    find_gpu,
    load_gpus,
    load_published,
    load_throughput,
)
from dmp.studies import Plan

HOUR, GIGABYTE = 3600, 1e9


def plan_scale(
    plan: Plan,
    gpu: str,
    count: int = 1,
    budget: float | None = None,
    throughput: Path = THROUGHPUT,
    *,
    compiled: bool = False,
    import_published: bool = False,
    csv: Path | None = None,
) -> str:
    """Return what a scale costs on a kind of GPU, and which tables to make first.

    Args:
        plan: the scale and its studies.
        gpu: a kind of GPU in ``gpus.yaml``.
        count: how many there are.
        budget: GPU-hours, or None for no limit.
        throughput: the folder of ``gpus.yaml`` and of throughput files.
        compiled: whether the backbone is compiled; only files measured so are used.
        import_published: whether baselines with public weights are imported, not trained.
        csv: if given, the tables are written there with all digits, and the jobs beside it as
            ``<stem>-jobs.csv``.

    Raises:
        DMPError: an unknown kind of GPU, a budget or count that is not positive, a file that is
            not valid, or a dataset of unknown size.

    """
    if count < 1:
        raise DMPError(f"{count} GPUs: at least 1 is needed")
    if budget is not None and not budget > 0:
        raise DMPError(f"a budget of {budget} GPU-hours: accepted are positive numbers")
    gpus, files = load_gpus(throughput), load_throughput(throughput)
    kind = find_gpu(gpus, gpu, plan.scale.precision)
    used = {
        name: file
        for name, file in files.items()
        if (file.gpu, file.precision, file.compiled) == (gpu, plan.scale.precision, compiled)
    }
    rates = Rates(kind, gpus.utilisation, plan.scale.precision, list(used.values()))
    every = jobs(plan, rates, load_published(throughput), import_published)
    steps = order(plan, every, count, budget)
    if csv is not None:
        write_text(csv, _steps_frame(steps).to_csv(index=False, lineterminator="\n"))
        beside = csv.with_name(f"{csv.stem}-jobs{csv.suffix}")
        write_text(beside, _jobs_frame(every).to_csv(index=False, lineterminator="\n"))
    peak = rates.gpu.bf16 if plan.scale.precision == "bf16" else rates.gpu.fp32
    parts = [
        _heading(plan, every, steps, gpu, count),
        _origin(gpu, plan.scale.precision, peak, gpus.utilisation, compiled, used, files),
        _stages(every),
        _baselines(every),
        _tables(steps),
        _budget(steps, every, budget, count),
        _limits(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def origin(time: Time) -> str:
    """Return how much of a time rests on measurements."""
    if not time.seconds:
        return "-"
    share = time.measured / time.seconds
    if share > 0.995:
        return "measured"
    return "computed" if share < 0.005 else f"{share:.0%} measured"


def number(value: float) -> str:
    """Return a number with two or three significant digits, and no exponent."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _hours(time: Time) -> str:
    return number(time.seconds / HOUR)


def _span(low: float, high: float) -> str:
    """Return bounds of a time, given in seconds, in hours or days."""
    unit, name = (HOUR, "h") if high < 48 * HOUR else (24 * HOUR, "d")
    bounds = list(dict.fromkeys((number(low / unit), number(high / unit))))
    return f"{'-'.join(bounds)} {name}"


def _grid(frame: pd.DataFrame) -> str:
    align = ["left" if frame[column].map(str).str.contains("[a-z]").any() else "right"
             for column in frame]  # fmt: skip
    return frame.to_markdown(index=False, tablefmt="simple", colalign=align, disable_numparse=True)


def _heading(plan: Plan, every: dict[Key, Job], steps: list[Step], gpu: str, count: int) -> str:
    low, high = wall_time(every, every, count)
    chain = longest_chain(every, every)
    return (
        f"Scale '{plan.name}' ({plan.scale.title}): {len(steps)} tables from {len(plan.runs())} "
        f"runs ({plan.scale.seeds} seeds) on {len(plan.baselines())} baselines.\n"
        f"On {count} × {gpu}: {_hours(total(every, every))} GPU-hours "
        f"({origin(total(every, every))}), {number(disk(every, every) / GIGABYTE)} GB of disk, "
        f"{_span(low, high)} of wall time.\n"
        f"The longest chain of jobs that wait for one another takes {_span(chain, chain)}."
    )


def _origin(
    gpu: str,
    precision: str,
    peak: float | None,
    utilisation: float,
    compiled: bool,
    used: dict[str, Throughput],
    files: dict[str, Throughput],
) -> str:
    how = f"{precision}, {'compiled' if compiled else 'not compiled'}"
    lines = [
        f"Measured: {name}: {file.device}, {file.date}, commit {file.commit}: "
        f"{', '.join(model.name for model in file.models)}."
        for name, file in used.items()
    ]
    if not used:
        others = ", ".join(
            f"{name} ({f.gpu}, {f.precision}, {'compiled' if f.compiled else 'not compiled'})"
            for name, f in files.items()
        )
        lines.append(f"Measured: nothing on {gpu} ({how}); there is {others or 'no file'}.")
    lines.append(
        f"Computed: multiply-accumulates over {utilisation:.0%}, assumed, of the peak of {gpu}:\n"
        f"{peak:g} TFLOP/s in {precision} for the backbone, TF32 or fp32 for autoencoder and "
        f"Inception,\nfp32 for denoising losses and captions."
    )
    return "\n".join(lines)


def _stages(every: dict[Key, Job]) -> str:
    rows = []
    for stage in STAGES:
        keys = [key for key in every if key[0] == stage]
        if keys:
            time = total(keys, every)
            rows.append(
                {
                    "stage": stage,
                    "jobs": len(keys),
                    "GPU-hours": _hours(time),
                    "origin": origin(time),
                    "disk, GB": number(disk(keys, every) / GIGABYTE),
                }
            )
    return _grid(pd.DataFrame(rows))


def _baselines(every: dict[Key, Job]) -> str:
    rows = []
    for key, job in every.items():
        if job.stage == "baseline":
            how = "trained"
            if job.imported:
                how = f"imported: {job.published}"
                if job.spared.seconds:
                    how += f"; training it would take {_hours(job.spared)} h"
            elif job.published:
                how = f"trained; public weights could be imported: {job.published}"
            rows.append(
                {
                    "baseline": "/".join(("", *key[1:])).lstrip("/"),
                    "GPU-hours": _hours(job.time),
                    "weights": how,
                }
            )
    return _grid(pd.DataFrame(rows))


def _tables(steps: list[Step]) -> str:
    rows = [
        {
            "": str(place) if step.fits else "over budget",
            "table": step.table.name,
            "rows": step.table.rows,
            "runs": step.table.runs,
            "alone, GPU-h": _hours(step.alone),
            "adds, GPU-h": _hours(step.added),
            "origin": origin(step.alone),
            "adds, GB": number(step.disk / GIGABYTE),
            "so far, GPU-h": _hours(step.total),
            "wall so far": _span(*step.wall),
            "claims judged": step.claims,
        }
        for place, step in enumerate(steps, start=1)
    ]
    return (
        "Order: what the paper shows, then our own questions; within each, next comes the table "
        "with the most\nrows per GPU-hour that it adds to those before it.\n\n"
        + _grid(pd.DataFrame(rows))
    )


def _budget(steps: list[Step], every: dict[Key, Job], budget: float | None, count: int) -> str:
    if budget is None:
        return ""
    within = [step for step in steps if step.fits]
    if not within:
        return f"No table fits into {budget:g} GPU-hours."
    keys = frozenset[Key]().union(*(step.table.jobs for step in within))
    return (
        f"{len(within)} of {len(steps)} tables fit into {budget:g} GPU-hours: together they take "
        f"{_hours(total(keys, every))} GPU-hours, {number(disk(keys, every) / GIGABYTE)} GB and "
        f"{_span(*wall_time(keys, every, count))} of wall time."
    )


def _limits() -> str:
    return (
        "Not counted: loading of data, starting of jobs, statistics on the CPU, and the launches\n"
        "of kernels, which small models mostly wait for: for those the computed times are far\n"
        "too low. Wall time is given from max(W / m, C) to W / m + (1 - 1 / m) C, where W is the\n"
        "sum of all jobs, C the longest chain and m the number of GPUs; those that share a job\n"
        "are taken to share it evenly."
    )


def _jobs_frame(every: dict[Key, Job]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "stage": job.stage,
            "of": "/".join(key[1:]),
            "gpu_seconds": job.time.seconds,
            "gpus": job.gpus,
            "measured_seconds": job.time.measured,
            "disk_bytes": job.disk,
            "published": job.published,
            "spared_gpu_seconds": job.spared.seconds,
        }
        for key, job in every.items()
    )


def _steps_frame(steps: list[Step]) -> pd.DataFrame:
    columns: dict[str, Callable[[Step], object]] = {
        "table": lambda s: s.table.name,
        "fits": lambda s: s.fits,
        "rows": lambda s: s.table.rows,
        "runs": lambda s: s.table.runs,
        "gpu_seconds_alone": lambda s: s.alone.seconds,
        "gpu_seconds_added": lambda s: s.added.seconds,
        "measured_seconds_added": lambda s: s.added.measured,
        "disk_bytes_added": lambda s: s.disk,
        "gpu_seconds_so_far": lambda s: s.total.seconds,
        "wall_seconds_at_least": lambda s: s.wall[0],
        "wall_seconds_at_most": lambda s: s.wall[1],
        "claims_judged": lambda s: s.claims,
    }
    return pd.DataFrame([{name: value(step) for name, value in columns.items()} for step in steps])
