"""The paper's gate: a linear map of the timestep embedding and the block's index."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.patching.gates.base import Gate, register_gate
from dmp.patching.points import PatchPoints


@register_gate("linear")
class LinearGate(Gate):
    """One linear layer on ``[t; i]``, shared by all blocks (Eq. 5).

    With uniform selection it sees t alone, and all blocks get the same weights (Table 4c).
    """

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__(config, points, prompts, blocks)
        size = points.condition_size
        self.index = config.block_index if config.selection == "distinct" else None
        self.last = max(1, len(points.blocks(config.placement)) - 1)
        more = {"raw": 1, "normalised": 1, "embedded": size}.get(self.index or "", 0)
        self.embedding = nn.Embedding(len(blocks), size) if self.index == "embedded" else None
        count = len(blocks) if self.index == "own-gate" else 1
        layers = [nn.Linear(size + more, prompts) for _ in range(count)]
        self.linear = layers[0] if count == 1 else nn.ModuleList(layers)

    def logits(self, condition: Tensor, block: int, prompts: Tensor) -> Tensor:
        """Return ``G([t; i])``."""
        if isinstance(self.linear, nn.ModuleList):
            return self.linear[self.row[block]](condition)
        if self.index in ("raw", "normalised"):
            value = block if self.index == "raw" else block / self.last
            index = condition.new_full((len(condition), 1), value)
            condition = torch.cat([condition, index], dim=1)
        elif self.embedding is not None:
            index = self.embedding.weight[self.row[block]].expand(len(condition), -1)
            condition = torch.cat([condition, index], dim=1)
        return self.linear(condition)
