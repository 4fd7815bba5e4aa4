"""What a method has done to a backbone; the part of a method that computes."""

import functools
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from dmp.backbones import DiT
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, understood
from dmp.tensorfile import load_tensors, save_tensors


class Attached:
    """A method at work on a backbone. This one has added nothing: what is free to train, trains.

    Attributes:
        module: what was added beside the backbone's own modules and trains with it; None if
            nothing was, or if it stands inside the backbone.
        noise_shape: shape of the standard normal numbers that each example brings for the method;
            None if it needs none.
        batch_losses: as for :meth:`dmp.methods.Method.batch_losses`.
    """

    noise_shape: tuple[int, int] | None = None

    def __init__(
        self,
        backbone: nn.Module,
        module: nn.Module | None = None,
        batch_losses: list[str] | None = None,
    ) -> None:
        self.backbone, self.module = backbone, module
        self.batch_losses = batch_losses or []

    def set_noise(self, noise: Tensor) -> None:
        """Take the numbers of a batch, ``(B, *noise_shape)``, for the next forward pass."""

    def losses(self) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Return what is added to the loss after a forward pass, and its parts; None if nothing."""
        return None

    def observed(self) -> dict[str, Tensor]:
        """Return what else of a forward pass belongs into the training's log."""
        return {}

    def own_rates(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return parameters that train at a multiple of the learning rate, by that factor."""
        return []

    def parameters(self) -> list[nn.Parameter]:
        """Return all that trains."""
        inside = [p for p in self.backbone.parameters() if p.requires_grad]
        return inside + ([] if self.module is None else list(self.module.parameters()))

    def tensors(self) -> dict[str, Tensor]:
        """Return what :meth:`save` writes: all weights of the backbone."""
        return self.backbone.state_dict()

    def save(self, path: Path, identity: str) -> None:
        """Write what training made to one safetensors file, atomically.

        Raises:
            DMPError: it cannot be written.
        """
        save_tensors(path, self.tensors(), {"format": "weights", "identity": identity})

    def restore(self, path: Path) -> "Attached":
        """Set what trains to what :meth:`save` wrote: all weights of the backbone.

        Raises:
            DMPError: the file is of another backbone, missing or corrupt.
        """
        tensors = load_tensors(path, STAGE_OUTPUT)[0]
        with understood(path):
            self.backbone.load_state_dict(tensors, strict=True)
        return self

    def read(self, path: Path) -> dict[str, Tensor]:
        """Return what :meth:`save` wrote, of a method that saves what it trains alone.

        Raises:
            DMPError: the file is of another method or backbone, missing or corrupt.
        """
        saved, own = load_tensors(path, STAGE_OUTPUT)[0], self.tensors()
        shapes = {name: tensor.shape for name, tensor in saved.items()}
        if shapes != {name: tensor.shape for name, tensor in own.items()}:
            raise DMPError(f"{path} does not hold what this method trains of this backbone")
        return saved


class Partial(Attached):
    """Only some of the backbone's parameters train, and only they are saved.

    Args:
        backbone: frozen, except for these.
        chosen: names of its parameters that train.
        module: what was added beside it; its parameters are saved under ``added.``.
    """

    def __init__(
        self, backbone: nn.Module, chosen: list[str], module: nn.Module | None = None
    ) -> None:
        super().__init__(backbone, module)
        self._chosen = chosen
        backbone.requires_grad_(False)
        for name in chosen:
            backbone.get_parameter(name).requires_grad_(True)

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameters that train, and nothing else."""
        found: dict[str, Tensor] = {n: self.backbone.get_parameter(n) for n in self._chosen}
        if self.module is not None:
            found |= {f"added.{name}": p for name, p in self.module.named_parameters()}
        return found

    @torch.no_grad()
    def restore(self, path: Path) -> "Partial":
        """Set the parameters to what :meth:`save` wrote.

        Raises:
            DMPError: as :meth:`read`.
        """
        saved = self.read(path)
        for name, tensor in self.tensors().items():
            tensor.copy_(saved[name])
        return self


class Factors(nn.Module):
    """Multiplies the outputs of each block's attention and perceptron by learned vectors.

    Attributes:
        factors: ``(L, 2, D)``, ones at first.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        if not isinstance(backbone, DiT):
            raise TypeError(f"factors belong to the blocks of a DiT, not of {type(backbone)}")
        device = backbone.pos_embed.device
        self.factors = nn.Parameter(
            torch.ones(backbone.depth, 2, backbone.hidden_size, device=device)
        )
        for number, block in enumerate(backbone.blocks):
            for branch, module in enumerate((block.attn, block.mlp)):
                # Not a closure: a model with closures cannot be copied or pickled.
                scale = functools.partial(_scaled, self, number, branch)
                cast(nn.Module, module).register_forward_hook(scale)


def _scaled(
    factors: Factors, block: int, branch: int, module: nn.Module, inputs: tuple, output: Tensor
) -> Tensor:
    return output * factors.factors[block, branch].to(output.dtype)
