"""Training the baseline, and checking that it has converged."""

import dataclasses
import shutil
import time
from pathlib import Path

from dmp.config import RunConfig
from dmp.data.registry import dataset_info
from dmp.data.stream import TrainingStream
from dmp.files import write_json
from dmp.metrics.features import load_features
from dmp.metrics.fidelity import frechet_distance
from dmp.stages.common import (
    Context,
    image_features,
    new_backbone,
    new_objective,
    task_data,
    write_record,
)
from dmp.stages.evaluate import draw
from dmp.tensorfile import load_tensors, read_description, save_tensors
from dmp.training import Objective, fit


def training_stream(run: RunConfig, objective: Objective) -> TrainingStream:
    """Return the training examples of a run's seed."""
    task = run.config
    return TrainingStream(
        task_data(task)[0],
        run.seed,
        task.diffusion.timesteps,
        dataset_info(task.data.name).flip,
        task.label_dropout,
        objective.backbone.null_label if task.label_dropout else None,
    )


def pretrain(context: Context, task: str, seed: int) -> None:
    """Train a baseline, check its convergence, and write its averaged (EMA) weights.

    The last few averages are sampled with the same noise; their FIDs say whether it still improves.
    """
    # Here, since it brings in scipy.stats, which every run would wait a second for.
    from dmp.statistics.convergence import convergence

    started = time.time()
    run = context.plan.pretraining(task, seed)
    config = run.config.pretraining
    directory = context.layout.pretrained(task, seed)
    identity = context.plan.slice("pretraining", task, seed=seed)
    steps = [
        config.iterations - config.convergence_every * back
        for back in reversed(range(config.convergence_checkpoints))
    ]
    # What the check at the end needs is looked at before the training, which takes much longer.
    reference = load_features(context.layout.reference(task))
    image_features(context, run.config, task_data(run.config)[0].images[:1])
    objective = new_objective(run)
    snapshots = directory / "snapshots"
    drop_foreign_state(directory, identity)
    averaged = fit(
        objective,
        training_stream(run, objective),
        config,
        directory,
        identity,
        run.precision,
        config.ema_decay,
        snapshots=steps,
        on_snapshot=lambda step, model: save_tensors(
            snapshots / f"{step}.safetensors", model.state_dict(), {"identity": identity}
        ),
    )

    backbone = new_backbone(run.config).to(context.device)
    fids = []
    for step in steps:
        backbone.load_state_dict(load_tensors(snapshots / f"{step}.safetensors")[0])
        title = f"convergence of {task} at iteration {step}"
        features = draw(context, run, backbone, seed, config.convergence_samples, title)[1]
        fids.append(frechet_distance(features, reference))
    verdict = convergence(fids, config.convergence_tolerance)

    write_record(directory, run, context.device, started)
    write_json(
        context.layout.convergence(task, seed),
        {
            **dataclasses.asdict(verdict),
            "iterations": steps,
            "fids": fids,
            "samples": config.convergence_samples,
            "tolerance": config.convergence_tolerance,
        },
    )
    save_tensors(
        context.layout.pretrained_weights(task, seed),
        averaged.state_dict(),
        {"format": "weights", "identity": identity},
    )
    shutil.rmtree(snapshots)
    (directory / "checkpoint.safetensors").unlink()


def drop_foreign_state(directory: Path, identity: str) -> None:
    """Remove the unfinished state of an earlier configuration, which an edit has made obsolete."""
    checkpoint = directory / "checkpoint.safetensors"
    if checkpoint.is_file() and read_description(checkpoint).get("identity") != identity:
        print(
            f"{directory}: the configuration has changed, so that training starts anew", flush=True
        )
        shutil.rmtree(directory)
