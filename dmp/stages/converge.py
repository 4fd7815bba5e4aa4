"""Whether a baseline has converged: FIDs of its averages on the way to the end."""

import dataclasses
import shutil
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dmp.backbones import Backbone
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, write_json
from dmp.layout import Layout
from dmp.metrics.features import Features
from dmp.metrics.fidelity import frechet_distance
from dmp.metrics.reference import load_reference
from dmp.products.runs import convergence_product
from dmp.running.processes import is_main_process
from dmp.stages.common import Context, pretrained_backbone
from dmp.stages.data import TaskData, task_data
from dmp.stages.pretrain import judged_iterations, train_baseline
from dmp.stages.sample import draw
from dmp.studies.run import RunConfig
from dmp.tensorfile import load_tensors


def converge(context: Context, task: str, seed: int) -> None:
    """Sample the last few averages of a baseline, all with the same noise, and judge their FIDs.

    Where averages have not been kept, since others were asked for when the baseline was trained, it
    is trained again to get them; its weights stay as they are.

    Whether published weights have converged is not judged, since nothing is trained: ``iterations``
    is 0, and tables say that the weights were published.

    Raises:
        DMPError: there is no baseline, or a file cannot be read; or the task has decayed baselines.
    """
    # Here, since it brings in scipy.stats, which every run would wait a second for.
    from dmp.statistics.convergence import convergence

    run = context.plan.pretraining(task, seed)
    config = run.config.pretraining
    if config.decay is not None:
        raise DMPError(
            f"baselines of task '{task}' are judged by what a decayed rate still gains, which the "
            f"runs 'baseline' and 'baseline,recipe=decayed' measure; there is nothing to check"
        )
    # What the check needs is looked at before a training, which takes much longer.
    backbone = pretrained_backbone(context, run)
    reference = load_reference(context.layout.reference(task))
    data = task_data(context, task, run.config)

    def fid(backbone: Backbone, title: str) -> float:
        """From the same noise for every state of a baseline."""
        numbers = range(config.convergence_samples)
        drawn = draw(context, run, backbone, data, seed, numbers, title)
        return frechet_distance(Features(drawn["features"], drawn["logits"]), reference)

    found: dict[str, Any]
    if config.published is not None:
        found = {
            **{"tau": 0.0, "p_value": 1.0, "relative_change": 0.0, "converged": True},
            "published": config.published.path,
            "iterations": [0],
            "fids": [fid(backbone, f"published baseline of {task}")],
        }
    else:
        if missing := _missing_averages(context.layout, run):
            _train_again(context, run, data, missing)
            if not is_main_process():
                return
        steps, fids = judged_iterations(run), []
        for step in steps:
            average = None if step == config.iterations else _average(context.layout, run, step)
            if average is not None:
                backbone.load_state_dict(average)
            else:  # the last average is that of the weights
                backbone = pretrained_backbone(context, run)
            fids.append(fid(backbone, f"convergence of {task} at iteration {step}"))
        verdict = dataclasses.asdict(convergence(fids, config.convergence_tolerance))
        found = {**verdict, "iterations": steps, "fids": fids}
    limits = {"samples": config.convergence_samples, "tolerance": config.convergence_tolerance}
    write_json(context.layout.convergence(task, seed), {**found, **limits})
    convergence_product(context.layout, run).mark_finished()


def _missing_averages(layout: Layout, run: RunConfig) -> list[int]:
    """Return the iterations whose averages are needed and have not been kept."""
    missing = []
    for step in judged_iterations(run)[:-1]:
        path = layout.baseline_snapshot(run.task, run.seed, step)
        if not path.is_file() or _average(layout, run, step) is None:
            missing.append(step)
    return missing


def _train_again(context: Context, run: RunConfig, data: TaskData, steps: list[int]) -> None:
    if is_main_process():
        print(
            f"the averages of baseline {run.seed} of {run.task} after iterations "
            f"{', '.join(map(str, steps))} have not been kept: it is trained again to get them; "
            f"its weights stay as they are",
            flush=True,
        )
    folder = context.layout.pretrained(run.task, run.seed) / "snapshots" / "again"
    train_baseline(context, run, data, folder, steps)
    if is_main_process():
        shutil.rmtree(folder)


def _average(layout: Layout, run: RunConfig, step: int) -> Mapping[str, Tensor] | None:
    """Return an average that was kept; None if it is of another baseline."""
    path = layout.baseline_snapshot(run.task, run.seed, step)
    tensors, description = load_tensors(path, STAGE_OUTPUT)
    return tensors if description.get("identity") == run.fingerprint("baseline") else None
