"""Training the baseline, and checking that it has converged."""

import dataclasses
import shutil
import time
from pathlib import Path

from dmp.config import RunConfig
from dmp.data.shape import input_shape
from dmp.data.stream import TrainingStream
from dmp.files import write_json
from dmp.metrics.denoising import denoising_losses
from dmp.metrics.features import Features
from dmp.metrics.fidelity import frechet_distance
from dmp.metrics.reference import load_reference
from dmp.rng import torch_generator
from dmp.running.processes import is_main_process
from dmp.stages.common import Context, new_backbone, new_diffusion, task_extractor
from dmp.stages.data import TaskData, task_data
from dmp.stages.provenance import write_record
from dmp.stages.published import import_baseline
from dmp.stages.sample import draw
from dmp.tensorfile import load_tensors, read_description, save_tensors
from dmp.training import Objective, fit


def training_stream(run: RunConfig, objective: Objective, data: TaskData) -> TrainingStream:
    """Return the training examples of a run's seed."""
    task, attached = run.config, objective.patch
    noisy = attached is not None and attached.config.gate_noise
    return TrainingStream(
        data.train,
        run.seed,
        task.diffusion.timesteps,
        input_shape(task.data).flip,
        task.label_dropout,
        objective.backbone.null_label if task.label_dropout else None,
        None if data.captions is None else data.captions.train,
        attached.noise_shape if noisy else None,
    )


def pretrain(context: Context, task: str, seed: int) -> None:
    """Train a baseline, check its convergence, and write its averaged (EMA) weights.

    The last few averages are sampled with the same noise; their FIDs say whether it still improves.
    Where several processes train together, the first alone checks and writes.
    """
    # Here, since it brings in scipy.stats, which every run would wait a second for.
    from dmp.statistics.convergence import convergence

    started = time.time()
    run = context.plan.pretraining(task, seed)
    config = run.config.pretraining
    if config.published is not None:
        import_baseline(context, task, seed)
        return
    directory = context.layout.pretrained(task, seed)
    identity = context.plan.slice("pretraining", task, seed=seed)
    steps = [
        config.iterations - config.convergence_every * back
        for back in reversed(range(config.convergence_checkpoints))
    ]
    # What the check at the end needs is looked at before the training, which takes much longer.
    data = task_data(context, task, run.config)
    reference = load_reference(context.layout.reference(task))
    task_extractor(context, run.config)
    backbone = new_backbone(context, task, run.config)
    backbone.initialize_weights(torch_generator(seed, "backbone initialisation"))
    objective = Objective(backbone, new_diffusion(run.config), None)
    snapshots = directory / "snapshots"
    if is_main_process():
        drop_foreign_state(directory, identity)
    fit(
        objective,
        training_stream(run, objective, data),
        config,
        directory,
        identity,
        run.precision,
        config.ema_decay,
        snapshots=steps,
        on_snapshot=lambda step: save_tensors(
            snapshots / f"{step}.safetensors", backbone.state_dict(), {"identity": identity}
        ),
    )

    if not is_main_process():
        return
    fids = []
    for step in steps:
        backbone.load_state_dict(load_tensors(snapshots / f"{step}.safetensors")[0])
        title = f"convergence of {task} at iteration {step}"
        numbers = range(config.convergence_samples)
        drawn = draw(context, run, backbone, data, seed, numbers, title)
        features = Features(drawn["features"], drawn["logits"])
        fids.append(frechet_distance(features, reference))
    verdict = convergence(fids, config.convergence_tolerance)
    losses = denoising_losses(
        backbone,
        new_diffusion(run.config),
        data.held_out,
        run.config.evaluation.timesteps_per_image,
        context.device,
    )

    write_record(directory, run, context.device, started)
    write_json(
        context.layout.convergence(task, seed),
        {
            **dataclasses.asdict(verdict),
            "iterations": steps,
            "fids": fids,
            "samples": config.convergence_samples,
            "tolerance": config.convergence_tolerance,
            "denoising_mse": float(losses.mse.mean()),
        },
    )
    save_tensors(
        context.layout.pretrained_weights(task, seed),
        # The last snapshot is the last iteration's average.
        backbone.state_dict(),
        {"format": "weights", "identity": identity},
    )
    # The unaveraged weights and the optimiser: from here the baseline itself can train on.
    (directory / "checkpoint.safetensors").replace(context.layout.pretrained_state(task, seed))
    shutil.rmtree(snapshots)


def drop_foreign_state(directory: Path, identity: str) -> None:
    """Remove the unfinished state of an earlier configuration, which an edit has made obsolete."""
    checkpoint = directory / "checkpoint.safetensors"
    if checkpoint.is_file() and read_description(checkpoint).get("identity") != identity:
        print(
            f"{directory}: the configuration has changed, so that training starts anew", flush=True
        )
        shutil.rmtree(directory)
