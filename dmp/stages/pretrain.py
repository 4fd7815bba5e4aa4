"""Training the baseline, and checking that it has converged."""

import dataclasses
import shutil
import time
from pathlib import Path

from dmp.backbones import DiT
from dmp.config import RunConfig
from dmp.data.shape import input_shape
from dmp.data.stream import TrainingStream
from dmp.diffusion import Diffusion
from dmp.files import STAGE_OUTPUT
from dmp.metrics.reference import load_reference
from dmp.rng import generator
from dmp.running.processes import is_main_process
from dmp.stages.baseline import baseline_fid, write_baseline
from dmp.stages.common import Context, new_backbone, task_extractor
from dmp.stages.data import TaskData, task_data
from dmp.stages.published import import_baseline
from dmp.tensorfile import load_tensors, read_description, save_tensors
from dmp.training import Objective, fit


def training_stream(run: RunConfig, objective: Objective, data: TaskData) -> TrainingStream:
    """Return the training examples of a run's seed.

    Baselines draw from one phase and further training from the other. ``continued``, a baseline's
    own training going on, goes on in the baseline's phase, behind as many examples as that has
    used: these are the very next ones where the seeds of both are equal. Where several seeds rest
    on one baseline, the others take the same place of their own seed's phase, or they would all
    train alike.
    """
    task, attached = run.config, objective.patch
    own = run.method in ("pretraining", "continued")
    used = task.pretraining.iterations * task.pretraining.batch_size
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
        phase="pretraining" if own else "further training",
        skip=used if run.method == "continued" else 0,
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
        if is_main_process():
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
    assert isinstance(backbone, DiT)  # weights of others are published: the configuration says so
    backbone.initialize_weights(generator(seed, "backbone initialisation"))
    objective = Objective(backbone, Diffusion.of(run.config), None)
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
        path = snapshots / f"{step}.safetensors"
        backbone.load_state_dict(load_tensors(path, STAGE_OUTPUT)[0])
        title = f"convergence of {task} at iteration {step}"
        fids.append(baseline_fid(context, run, backbone, data, reference, title))
    verdict = dataclasses.asdict(convergence(fids, config.convergence_tolerance))
    # The last snapshot is the last iteration's average.
    found = {**verdict, "iterations": steps, "fids": fids}
    write_baseline(context, run, backbone, data, started, found)
    # The unaveraged weights and the optimiser: from here the baseline itself can train on.
    (directory / "checkpoint.safetensors").replace(context.layout.pretrained_state(task, seed))
    shutil.rmtree(snapshots)


def drop_foreign_state(directory: Path, identity: str) -> None:
    """Remove the unfinished state of an earlier configuration, which an edit has made obsolete."""
    checkpoint = directory / "checkpoint.safetensors"
    if not checkpoint.is_file():
        return
    if read_description(checkpoint, STAGE_OUTPUT).get("identity") != identity:
        print(
            f"{directory}: the configuration has changed, so that training starts anew", flush=True
        )
        shutil.rmtree(directory)
