"""An attention gate that can choose."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.patching.gates.base import Gate, common_width, register_gate
from dmp.patching.points import PatchPoints


@register_gate("attention")
class AttentionGate(Gate):
    """Prompts as queries, the timestep as the key: a softmax over prompts lets the gate choose."""

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__(config, points, prompts, blocks)
        width = common_width(config, points, blocks)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(points.condition_size, width)

    def logits(self, condition: Tensor, block: int, prompts: Tensor) -> Tensor:
        """Return ``(W_q P) · (W_k t) / √D``."""
        return self.key(condition) @ self.query(prompts).T / math.sqrt(prompts.shape[1])
