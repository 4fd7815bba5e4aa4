"""What is minimised: the hybrid denoising loss of a backbone, and what its method adds to it."""

from typing import NamedTuple

from torch import Tensor, nn

from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.methods.attached import Attached


class Terms(NamedTuple):
    """The loss and its parts.

    Attributes:
        total: scalar that is minimised.
        mse: ``(B,)``, squared error of the predicted noise, per image.
        vb: ``(B,)``, variational bound in bits per dimension, per image; None where no variance
            is learned.
        method: scalars by name that the method adds to the log: importance, load and entropy of a
            gate; the share of the prompts' contribution that arrived, in half precision.
    """

    total: Tensor
    mse: Tensor
    vb: Tensor | None
    method: dict[str, Tensor]


class Objective(nn.Module):
    """A backbone and what was added to it in one module: distributed training sees it all.

    Args:
        backbone: predicts noise, and variance where ``diffusion`` learns one.
        diffusion: the forward process and its losses.
        attached: the method at work on ``backbone``; by default all of its weights train.
        loss: ``hybrid``, noise and variance; or ``simple``, the noise alone.

    Raises:
        DMPError: ``hybrid`` without a variance that is learned.
    """

    def __init__(
        self,
        backbone: nn.Module,
        diffusion: Diffusion,
        attached: Attached | None = None,
        loss: str = "hybrid",
    ) -> None:
        super().__init__()
        if loss == "hybrid" and not diffusion.learned_variance:
            raise DMPError(
                "training.loss = hybrid needs a backbone that predicts the variance; this one "
                "predicts noise alone; accepted: simple"
            )
        self.attached = Attached(backbone) if attached is None else attached
        self.backbone, self.added = backbone, self.attached.module
        self.diffusion, self.loss = diffusion, loss

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that train, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def groups(self, learning_rate: float) -> list[dict]:
        """Return the parameters that train, grouped by learning rate, for an optimiser."""
        trainable = list(self.trainable().values())
        factors = {id(p): factor for factor, ps in self.attached.own_rates() for p in ps}
        return [
            {
                "params": [p for p in trainable if factors.get(id(p), 1.0) == factor],
                "lr": factor * learning_rate,
            }
            for factor in dict.fromkeys([1.0, *factors.values()])
        ]

    def forward(self, batch: Batch) -> Terms:
        """Return the loss of a batch: ``mse + vb``, and what the method adds."""
        if len(batch.gate_noise):
            self.attached.set_noise(batch.gate_noise)
        noisy = self.diffusion.add_noise(batch.images, batch.noise, batch.timesteps)
        output = self.backbone(noisy, batch.timesteps, batch.labels).float()
        losses = self.diffusion.losses(output, batch.images, noisy, batch.noise, batch.timesteps)
        total = losses.mse.mean()
        vb = losses.vb
        if self.loss == "hybrid":
            assert vb is not None  # the constructor has seen to it
            total = total + vb.mean()
        own, logged = self.attached.losses(), self.attached.observed()
        if own is not None:
            total, logged = total + own[0], own[1] | logged
        return Terms(total, losses.mse.detach(), None if vb is None else vb.detach(), logged)
