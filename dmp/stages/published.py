"""A baseline that others have trained and published, in place of one that is trained here."""

import shutil
import time

import torch

from dmp.backbones import DiT, load_diffusers_dit, load_public_dit
from dmp.files import write_json
from dmp.metrics.denoising import denoising_losses
from dmp.metrics.features import Features
from dmp.metrics.fidelity import frechet_distance
from dmp.metrics.reference import load_reference
from dmp.stages.common import Context, new_backbone, new_diffusion
from dmp.stages.data import task_data
from dmp.stages.provenance import write_record
from dmp.stages.sample import draw
from dmp.tensorfile import save_tensors
from dmp.training import Objective
from dmp.training.checkpoint import Progress, save_checkpoint


def import_baseline(context: Context, task: str, seed: int) -> None:
    """Write published weights as the baseline of a task.

    Whether they have converged is not judged, since nothing is trained: ``iterations`` is 0, and
    tables say that the weights were published. To train on, the optimiser starts anew.

    Raises:
        DMPError: the file is missing or corrupt, or holds a model of another size.

    """
    started = time.time()
    run = context.plan.pretraining(task, seed)
    config = run.config.pretraining
    assert config.published is not None  # the caller asks for a baseline that is published
    path = context.data / config.published.path
    backbone = new_backbone(context, task, run.config)
    load = {"public": load_public_dit, "diffusers": load_diffusers_dit}[config.published.format]
    load(path, backbone)
    backbone.to(context.device).eval()
    data = task_data(context, task, run.config)
    numbers = range(config.convergence_samples)
    drawn = draw(context, run, backbone, data, seed, numbers, f"published baseline of {task}")
    reference = load_reference(context.layout.reference(task))
    fid = frechet_distance(Features(drawn["features"], drawn["logits"]), reference)
    losses = denoising_losses(
        backbone,
        new_diffusion(run.config),
        data.held_out,
        run.config.evaluation.timesteps_per_image,
        context.device,
    )
    directory = context.layout.pretrained(task, seed)
    # The log of an earlier training would be taken for this one's.
    shutil.rmtree(directory, ignore_errors=True)
    identity = context.plan.slice("pretraining", task, seed=seed)
    write_record(directory, run, context.device, started)
    write_json(
        context.layout.convergence(task, seed),
        {
            **{"tau": 0.0, "p_value": 1.0, "relative_change": 0.0, "converged": True},
            "published": config.published.path,
            "iterations": [0],
            "fids": [fid],
            "samples": config.convergence_samples,
            "tolerance": config.convergence_tolerance,
            "denoising_mse": float(losses.mse.mean()),
        },
    )
    _save_state(context, backbone, task, seed, identity)
    description = {"format": "weights", "identity": identity}
    save_tensors(context.layout.pretrained_weights(task, seed), backbone.state_dict(), description)


def _save_state(context: Context, backbone: DiT, task: str, seed: int, identity: str) -> None:
    """Write the state from which the baseline's own training would go on."""
    config = context.plan.scale.tasks[task].pretraining
    objective = Objective(backbone, new_diffusion(context.plan.scale.tasks[task]), None)
    trainable = objective.trainable()
    optimizer = torch.optim.AdamW(
        objective.groups(config.learning_rate), weight_decay=config.weight_decay
    )
    averaged = {name: parameter.detach().clone() for name, parameter in trainable.items()}
    path = context.layout.pretrained_state(task, seed)
    save_checkpoint(path, identity, Progress(), trainable, optimizer, averaged)
