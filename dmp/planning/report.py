"""The cost of a scale, as text for people and as CSV."""

from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.planning.cost import jobs
from dmp.planning.rates import Rates, number
from dmp.planning.tables import (
    cost_table,
    gigabytes,
    job_table,
    longest_chain,
    stage_table,
    total,
    wall_hours,
)
from dmp.planning.throughput import THROUGHPUT, Throughput, find_gpu, load_gpus, load_throughput
from dmp.studies import Plan

ORDER = """\
What the paper shows, then our own questions; within each the cheapest first. A table adds what
those above it do not share."""
LIMITS = """\
Not counted: loading of data, starting of jobs, statistics on the CPU, and the launches
of kernels, which small models mostly wait for: for those the computed times are far
too low. Wall time is given from max(W / m, C) to W / m + (1 - 1 / m) C, where W is the
sum of all jobs, C the longest chain and m the number of GPUs; those that share a job
are taken to share it evenly."""


def plan_scale(
    plan: Plan,
    gpu: str,
    count: int = 1,
    budget: float | None = None,
    throughput: Path = THROUGHPUT,
    *,
    compiled: bool | None = None,
    csv: Path | None = None,
) -> str:
    """Return what a scale costs on a kind of GPU, and which tables a budget allows.

    Args:
        gpu: a kind of GPU in ``gpus.yaml``.
        budget: GPU-hours, or None for no limit.
        throughput: the folder of ``gpus.yaml`` and of throughput files.
        compiled: whether the backbone is compiled; only files measured so are used. As the scale
            says, if None.
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
    precision = plan.scale.precision
    kind = find_gpu(gpus, gpu, precision)
    if compiled is None:
        compiled = plan.scale.execution.compile
    conditions = f"{precision}, {'compiled' if compiled else 'not compiled'}"
    used = {n: f for n, f in files.items() if (f.gpu, f.conditions) == (gpu, conditions)}
    every = jobs(plan, Rates(kind, gpus.utilisation, precision, list(used.values())))
    tables, each = cost_table(plan, every, count, budget), job_table(every)
    if csv is not None:
        write_csv(csv, tables)
        write_csv(csv.with_name(f"{csv.stem}-jobs{csv.suffix}"), each)
    whole, baselines = total(every, every), each[each["stage"] == "baseline"]
    parts = [
        f"Scale '{plan.name}' ({plan.scale.title}): {len(tables)} tables from {len(plan.runs())} "
        f"runs ({plan.scale.seeds} seeds) on {len(plan.baselines())} baselines.\n"
        f"On {count} × {gpu}: {whole} GPU-hours ({whole.origin}), "
        f"{number(gigabytes(every, every))} GB of disk, {_span(*wall_hours(every, every, count))} "
        f"of wall time.\n"
        f"The longest chain of jobs that wait for one another takes "
        f"{_span(longest_chain(every, every))}.",
        f"{_measured(gpu, conditions, used, files)}\n"
        f"Computed: multiply-accumulates over {gpus.utilisation:.0%}, assumed, of the peak of "
        f"{gpu}:\n{kind.peak(precision):g} TFLOP/s in {precision} for the backbone, TF32 or fp32 "
        f"for autoencoder and Inception,\nfp32 for denoising losses and captions.",
        _text(stage_table(every)),
        _text(baselines[["of", "GPU-hours", "weights"]].rename(columns={"of": "baseline"})),
        ORDER,
        _text(tables if budget is not None else tables.drop(columns="fits")),
        "" if budget is None else _within(tables[tables["fits"] == "yes"], len(tables), budget),
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _span(*hours: float) -> str:
    """Return a time, or bounds of one, in hours or days."""
    unit, name = (1, "h") if hours[-1] < 48 else (24, "d")
    return f"{'-'.join(dict.fromkeys(number(bound / unit) for bound in hours))} {name}"


def _text(frame: pd.DataFrame) -> str:
    text = frame.map(lambda value: number(value) if isinstance(value, float) else str(value))
    align = ["left" if text[column].str.contains("[a-z]").any() else "right" for column in text]
    return text.to_markdown(index=False, tablefmt="simple", colalign=align, disable_numparse=True)


def _measured(
    gpu: str, conditions: str, used: dict[str, Throughput], files: dict[str, Throughput]
) -> str:
    if used:
        return "\n".join(
            f"Measured: {name}: {file.device}, {file.date}, commit {file.commit}: "
            f"{', '.join(model.name for model in file.models)}."
            for name, file in used.items()
        )
    others = ", ".join(f"{name} ({file.gpu}, {file.conditions})" for name, file in files.items())
    return f"Measured: nothing on {gpu} ({conditions}); there is {others or 'no file'}."


def _within(tables: pd.DataFrame, of: int, budget: float) -> str:
    if tables.empty:
        return f"No table fits into {budget:g} GPU-hours."
    last = tables.iloc[-1]
    bounds = last["wall so far, at least, h"], last["at most, h"]
    return (
        f"{len(tables)} of {of} tables fit into {budget:g} GPU-hours: together they take "
        f"{number(last['so far, GPU-h'])} GPU-hours, {number(last['so far, GB'])} GB and "
        f"{_span(*bounds)} of wall time."
    )
