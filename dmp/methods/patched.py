"""A patch at work on a backbone."""

from pathlib import Path

from torch import Tensor, nn

from dmp.methods.attached import Attached
from dmp.patching import Patch


class AttachedPatch(Attached):
    """Prompts, and perhaps a gate, attached to a frozen backbone."""

    module: Patch

    def __init__(
        self, backbone: nn.Module, patch: Patch, batch_losses: list[str] | None = None
    ) -> None:
        super().__init__(backbone, patch, batch_losses)
        if patch.config.gate_noise:
            self.noise_shape = patch.noise_shape

    def set_noise(self, noise: Tensor) -> None:
        """Hand the gate its noise."""
        self.module.noise = noise

    def losses(self) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Return the weighted balancing losses, and their parts."""
        return self.module.balancing()

    def observed(self) -> dict[str, Tensor]:
        """Return the share of the prompts' contribution that arrived in half precision."""
        arrived = self.module.arrived()
        return {} if arrived is None else {"prompts/arrived": arrived}

    def own_rates(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return the gate's parameters, if they train at a rate of their own."""
        factor = self.module.config.gate_learning_rate_factor
        return [] if factor == 1 else [(factor, self.module.gate_parameters())]

    def tensors(self) -> dict[str, Tensor]:
        """Return prompts and gate."""
        return self.module.state_dict()

    def save(self, path: Path, identity: str) -> None:
        """Write the patch, whose own header says what it was made for."""
        self.module.save(path, identity=identity)
