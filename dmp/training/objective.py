"""What is minimised: the hybrid denoising loss of a backbone, and its patch's balancing losses."""

from typing import NamedTuple

from torch import Tensor, nn

from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.patching import Patch


class Terms(NamedTuple):
    """The loss and its parts.

    Attributes:
        total: scalar that is minimised.
        mse: ``(B,)``, squared error of the predicted noise, per image.
        vb: ``(B,)``, variational bound in bits per dimension, per image; None where no variance
            is learned.
        gate: importance, load and entropy, scalars by name, where there is a gate; and the share
            of the prompts' contribution that arrived, where tokens are in half precision.

    """

    total: Tensor
    mse: Tensor
    vb: Tensor | None
    gate: dict[str, Tensor]


class Objective(nn.Module):
    """Backbone and patch in one module, so that distributed training sees every parameter.

    Args:
        backbone: predicts noise, and variance where ``diffusion`` learns one.
        diffusion: the forward process and its losses.
        patch: attached to ``backbone``, or None.
        loss: ``hybrid``, noise and variance; or ``simple``, the noise alone.

    Raises:
        DMPError: ``hybrid`` without a variance that is learned.

    """

    def __init__(
        self, backbone: nn.Module, diffusion: Diffusion, patch: Patch | None, loss: str = "hybrid"
    ) -> None:
        super().__init__()
        if loss == "hybrid" and not diffusion.learned_variance:
            raise DMPError(
                "training.loss = hybrid needs a backbone that predicts the variance; this one "
                "predicts noise alone; accepted: simple"
            )
        self.backbone, self.patch = backbone, patch
        self.diffusion, self.loss = diffusion, loss

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that train, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def groups(self, learning_rate: float) -> list[dict]:
        """Return the parameters that train, grouped by learning rate, for an optimiser."""
        trainable = list(self.trainable().values())
        factor = 1.0 if self.patch is None else self.patch.config.gate_learning_rate_factor
        if self.patch is None or factor == 1:
            return [{"params": trainable, "lr": learning_rate}]
        gate = {id(parameter) for parameter in self.patch.gate_parameters()}
        return [
            {"params": [p for p in trainable if id(p) not in gate], "lr": learning_rate},
            {"params": [p for p in trainable if id(p) in gate], "lr": factor * learning_rate},
        ]

    def forward(self, batch: Batch) -> Terms:
        """Return the loss of a batch: ``mse + vb``, and the weighted balancing losses."""
        if self.patch is not None and len(batch.gate_noise):
            self.patch.noise = batch.gate_noise
        noisy = self.diffusion.add_noise(batch.images, batch.noise, batch.timesteps)
        output = self.backbone(noisy, batch.timesteps, batch.labels).float()
        losses = self.diffusion.losses(output, batch.images, noisy, batch.noise, batch.timesteps)
        total = losses.mse.mean()
        vb = losses.vb
        if self.loss == "hybrid":
            assert vb is not None  # the constructor has seen to it
            total = total + vb.mean()
        gate: dict[str, Tensor] = {}
        balancing = self.patch.balancing() if self.patch is not None else None
        if balancing is not None:
            total, gate = total + balancing[0], balancing[1]
        arrived = self.patch.arrived() if self.patch is not None else None
        if arrived is not None:
            gate = {**gate, "prompts/arrived": arrived}
        return Terms(total, losses.mse.detach(), None if vb is None else vb.detach(), gate)
