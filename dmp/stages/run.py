"""Further training of a converged baseline, and all stages of a run in one process."""

import time

from dmp.config import RunConfig
from dmp.stages.common import (
    Context,
    attach,
    load_weights,
    new_diffusion,
    pretrained_backbone,
    save_weights,
    write_record,
)
from dmp.stages.evaluate import evaluate_run, sample_run
from dmp.stages.pretrain import drop_foreign_state, training_stream
from dmp.training import Objective, fit


def train_run(context: Context, run: RunConfig) -> None:
    """Train what the run's method trains, and write it; the baseline trains nothing."""
    started = time.time()
    directory = context.layout.run(run.task, run.variant, run.seed)
    backbone = pretrained_backbone(context, run)
    attached = attach(run, backbone)
    if run.method != "baseline":
        drop_foreign_state(directory, run.training_hash)
        objective = Objective(backbone, new_diffusion(run.config), attached)
        stream = training_stream(run, objective)
        fit(objective, stream, run.config.training, directory, run.training_hash, run.precision)
    write_record(directory, run, context.device, started)
    path = context.layout.weights(run.task, run.variant, run.seed)
    save_weights(path, run, backbone, attached)


def complete_run(context: Context, run: RunConfig) -> None:
    """Train, sample and evaluate one run."""
    train_run(context, run)
    backbone, _ = load_weights(context, run)
    sample_run(context, run, backbone)
    evaluate_run(context, run, backbone)
    # Only now: a kill while sampling must not cost the training.
    directory = context.layout.run(run.task, run.variant, run.seed)
    (directory / "checkpoint.safetensors").unlink(missing_ok=True)
