"""A baseline that others have trained and published, in place of one that is trained here."""

import shutil
import time
from typing import cast

import torch

from dmp.backbones import Backbone, DiT, load_diffusers_dit, load_public_dit
from dmp.config import PublishedConfig
from dmp.diffusion import Diffusion
from dmp.stages.common import Context, new_backbone, write_baseline
from dmp.studies.run import RunConfig
from dmp.training import Objective
from dmp.training.checkpoint import Progress, save_checkpoint


def import_baseline(context: Context, run: RunConfig) -> None:
    """Write published weights as the baseline of a task; to train on, the optimiser starts anew.

    Raises:
        DMPError: the file is missing or corrupt, or holds a model of another size.
    """
    started = time.time()
    published = run.config.pretraining.published
    assert published is not None  # others are trained
    backbone = new_backbone(context, run.task, run.config)
    _load(context, published, backbone)
    backbone.to(context.device).eval()
    # The log of an earlier training would be taken for this one's.
    shutil.rmtree(context.layout.pretrained(run.task, run.seed), ignore_errors=True)
    _save_state(context, run, backbone)
    write_baseline(context, run, backbone, started)


def _load(context: Context, published: PublishedConfig, backbone: Backbone) -> None:
    if published.format == "diffusers-unet":
        # Here, since diffusers' models take seconds to import, which jobs without them are spared.
        from dmp.backbones.unet import UNet, load_unet, unet_folder

        load_unet(unet_folder(published.path, context.data), cast(UNet, backbone))
        return
    load = load_public_dit if published.format == "public" else load_diffusers_dit
    load(context.data / published.path, cast(DiT, backbone))  # as the configuration has it


def _save_state(context: Context, run: RunConfig, backbone: Backbone) -> None:
    """Write the state from which the baseline's own training would go on."""
    config = run.config.pretraining
    objective = Objective(backbone, Diffusion.of(run.config), None, run.config.training.loss)
    trainable = objective.trainable()
    optimizer = torch.optim.AdamW(
        objective.groups(config.learning_rate), weight_decay=config.weight_decay
    )
    averaged = {name: parameter.detach().clone() for name, parameter in trainable.items()}
    path = context.layout.pretrained_state(run.task, run.seed)
    fingerprint = run.fingerprint("baseline")
    # Their average is one over a long training, and goes on as such.
    progress = Progress(averaged=config.iterations)
    save_checkpoint(path, fingerprint, progress, trainable, optimizer, averaged)
