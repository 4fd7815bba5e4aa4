"""The attention gate as the paper's words have it."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.patching.gates.base import Gate, common_width, register_gate
from dmp.patching.points import PatchPoints
from dmp.patching.weights import GateOutput


@register_gate("attention-literal")
class LiteralAttentionGate(Gate):
    """Prompts as queries, the timestep as the only key and value, as the paper's words have it.

    A softmax over one key is 1 whatever the query, so that every token gets the value V(t), and
    neither the prompts nor a query or key map would ever see a gradient; there are none. V starts
    at zero, so that the patched backbone starts out equal to the backbone.
    """

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__(config, points, prompts, blocks)
        self.value = nn.Linear(points.condition_size, common_width(config, points, blocks))

    def reset(self, source: np.random.Generator) -> None:
        """Initialise as zero."""
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(
        self,
        tokens: Tensor,
        condition: Tensor,
        block: int,
        prompts: Tensor,
        noise: Tensor | None = None,
    ) -> GateOutput:
        """Return V(t) for every token; there are no weights to balance."""
        return GateOutput(self.value(condition)[:, None].expand(-1, len(prompts), -1))
