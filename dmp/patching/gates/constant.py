"""A gate that sees no timestep."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.patching.gates.base import Gate, register_gate
from dmp.patching.points import PatchPoints


@register_gate("constant")
class ConstantGate(Gate):
    """Learned, but blind to the timestep: what does the timestep add?"""

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__(config, points, prompts, blocks)
        rows = len(blocks) if config.selection == "distinct" else 1
        self.constant = nn.Parameter(torch.zeros(rows, prompts))

    def logits(self, condition: Tensor, block: int, prompts: Tensor) -> Tensor:
        """Return the block's own numbers for each image."""
        return self.constant[self.row[block] % len(self.constant)].expand(len(condition), -1)
