"""The objective of a sweep, and the runs that confirm its best points."""

from typing import cast

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from dmp.backbones import Backbone
from dmp.config import from_file
from dmp.errors import DMPError
from dmp.files import understood, write_text
from dmp.layout import Layout
from dmp.stages.collect import KeptConfig
from dmp.stages.common import Context, attach, measure_denoising, new_backbone
from dmp.stages.data import task_data
from dmp.stages.outcome import last_values
from dmp.stages.run import complete_run
from dmp.statistics.results import DIVERGED
from dmp.studies.run import RunConfig
from dmp.sweeps.files import CONFIRMED_COLUMNS, SweepFiles
from dmp.sweeps.loading import fresh_seeds, search_seeds
from dmp.sweeps.outcome import ImpossibleError, Objective, Outcome, Report
from dmp.sweeps.schema import Pruning, Sweep
from dmp.training.watch import Watch

# Every objective that is measured.
MEASURED = ("fid", "denoising_mse")


def make_objective(context: Context, sweep: Sweep) -> Objective:
    """Return the objective: trains, samples and evaluates a variant by the stages of every run.

    A run that is there already, whoever computed it, is read and not computed again; it reports
    nothing on the way, so that it is never pruned. The model is built first: what that refuses is
    the point, and what fails after it is the computation.
    """
    seeds = search_seeds(sweep, context.plan)

    def objective(variant: str, report: Report) -> Outcome:
        runs = [context.plan.run(sweep.task, variant, seed) for seed in seeds]
        added = added_parameters(context, runs[0])
        computed = sum(compute(context, sweep, run, report) for run in runs)
        found = [values for run in runs if (values := read_values(context.layout, run))]
        if len(found) < len(runs):
            return Outcome(None, computed)
        means = {name: float(np.mean([values[name] for values in found])) for name in MEASURED}
        return Outcome(means | {"added_parameters": added}, computed)

    return objective


def is_computed(layout: Layout, run: RunConfig) -> bool:
    """Return whether a run's numbers are there, and are those of this configuration."""
    path = layout.metrics(run.task, run.variant, run.seed)
    config = path.parent / "config.json"
    # The numbers are written last, after the configuration that they belong to.
    if not (path.is_file() and config.is_file()):
        return False
    return from_file(KeptConfig, config).hash == run.hash


def read_values(layout: Layout, run: RunConfig) -> dict[str, float] | None:
    """Return what a computed run measured after its last iteration; None if it has diverged."""
    path = layout.metrics(run.task, run.variant, run.seed)
    values = last_values(path)
    with understood(path):
        return None if values[DIVERGED] else {name: float(values[name]) for name in MEASURED}


def compute(context: Context, sweep: Sweep, run: RunConfig, report: Report | None = None) -> bool:
    """Compute a run unless it is there already; return whether it had to be computed.

    Args:
        sweep: says after which iterations to report, if at all.
        report: called with the held-out denoising loss on the way; None for a run that is never
            pruned.
    """
    names = (run.task, run.variant, run.seed)
    lock = SweepFiles(context.layout, sweep.id).run_lock(*names)
    lock.parent.mkdir(parents=True, exist_ok=True)
    # Two points of one variant, of this sweep or another: who comes second finds it computed.
    with FileLock(lock):
        if is_computed(context.layout, run):
            return False
        # Numbers of an earlier configuration must not outlive its weights.
        context.layout.metrics(*names).unlink(missing_ok=True)
        if report is None or sweep.pruning is None:
            complete_run(context, run)
        else:
            complete_run(context, run, watch=_watch(context, sweep.pruning, run, report))
        return True


def _watch(context: Context, pruning: Pruning, run: RunConfig, report: Report) -> Watch:
    """Report the loss of the held-out triples, the same for all models, at shares of a training."""
    data = task_data(context, run.task, run.config)
    steps = {max(1, round(share * run.iterations)) for share in pruning.at}

    def look(step: int, backbone: torch.nn.Module) -> None:
        # A training is given nothing else.
        backbone = cast("Backbone", backbone)
        losses = measure_denoising(context, run, backbone, data.held_out)
        report(step, float(losses.mse.mean()))

    return Watch(steps, look)


def added_parameters(context: Context, run: RunConfig) -> float:
    """Return how many parameters a run's method adds to its backbone, counted on real modules.

    Raises:
        ImpossibleError: the method does not fit the backbone.
        DMPError: the backbone itself cannot be built.
    """
    with torch.device("meta"):
        backbone = new_backbone(context, run.task, run.config)
        before = _count(backbone)
        try:
            attached = attach(run, backbone)
        except DMPError as error:
            raise ImpossibleError(str(error)) from error
    return float(_count(backbone) + _count(attached.module) - before)


def _count(module: torch.nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def confirm_variant(context: Context, sweep: Sweep, variant: str | None, point: int) -> None:
    """Run one of the best points, or the base, with fresh seeds, and write its numbers.

    Args:
        variant: the point; None where the search has found fewer, so that there is nothing to run.
        point: its rank from 1 on, or 0 for the base.
    """
    seeds = fresh_seeds(sweep, context.plan)
    runs = [] if variant is None else [context.plan.run(sweep.task, variant, s) for s in seeds]
    rows = []
    for run in runs:
        compute(context, sweep, run)
        values = read_values(context.layout, run)
        rows.append(
            {
                "variant": run.variant,
                "seed": run.seed,
                "baseline_seed": run.baseline_seed,
                **(values or dict.fromkeys(MEASURED, np.nan)),
                "added_parameters": added_parameters(context, run),
                "diverged": values is None,
                "config": run.hash,
            }
        )
    table = pd.DataFrame(rows, columns=list(CONFIRMED_COLUMNS))
    text = table.to_csv(index=False, na_rep="nan", lineterminator="\n")
    write_text(SweepFiles(context.layout, sweep.id).confirmation(point), text)
