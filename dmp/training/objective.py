"""What is minimised: the hybrid denoising loss of a backbone, and its patch's balancing losses."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.patching import Patch, entropy, importance_loss, load_loss


class Terms(NamedTuple):
    """The loss and its parts.

    Attributes:
        total: scalar that is minimised.
        mse: ``(B,)``, squared error of the predicted noise, per image.
        vb: ``(B,)``, variational bound in bits per dimension, per image.
        gate: importance, load and entropy, scalars by name; empty where there is no gate.

    """

    total: Tensor
    mse: Tensor
    vb: Tensor
    gate: dict[str, Tensor]


class Objective(nn.Module):
    """Backbone and patch in one module, so that distributed training sees every parameter.

    Args:
        backbone: predicts noise and variance.
        diffusion: the forward process and its losses.
        patch: attached to ``backbone``, or None.

    """

    def __init__(self, backbone: nn.Module, diffusion: Diffusion, patch: Patch | None) -> None:
        super().__init__()
        self.backbone, self.patch = backbone, patch
        self.diffusion = diffusion

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that train, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def forward(self, batch: Batch) -> Terms:
        """Return the loss of a batch: ``mse + vb``, and the weighted balancing losses."""
        noisy = self.diffusion.add_noise(batch.images, batch.noise, batch.timesteps)
        output = self.backbone(noisy, batch.timesteps, batch.labels).float()
        losses = self.diffusion.losses(output, batch.images, noisy, batch.noise, batch.timesteps)
        total = losses.mse.mean() + losses.vb.mean()
        weights = self.patch.weights() if self.patch is not None else None
        if weights is None:
            return Terms(total, losses.mse.detach(), losses.vb.detach(), {})
        weights = weights.float()
        config = self.patch.config
        importance, load = importance_loss(weights), load_loss(weights)
        if config.importance_weight:
            total = total + config.importance_weight * importance
        if config.load_weight:
            total = total + config.load_weight * load
        gate = {"loss/importance": importance, "loss/load": load, "gate/entropy": entropy(weights)}
        return Terms(
            total,
            losses.mse.detach(),
            losses.vb.detach(),
            {name: torch.as_tensor(value).detach() for name, value in gate.items()},
        )
