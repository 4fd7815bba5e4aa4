"""Gates: from the timestep embedding and the block index to one weight per prompt."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.patching.points import PatchPoints

GATES: dict[str, type[nn.Module]] = {}


def register_gate(name: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Make a gate selectable as ``PatchConfig.gate``.

    A gate is constructed as ``Gate(config, points)``, initialised by ``reset(generator)`` and
    called as ``gate(condition: (B, C), block: int) -> (B, N)``.
    """

    def register(gate: type[nn.Module]) -> type[nn.Module]:
        GATES[name] = gate
        return gate

    return register


@register_gate("linear")
class LinearGate(nn.Module):
    """``softmax(G([t; i]))`` with one linear layer G, shared by all blocks (Eq. 5).

    The block index enters as the number i itself. With uniform selection G sees t alone, and all
    blocks get the same weights (Table 4c).
    """

    def __init__(self, config: PatchConfig, points: PatchPoints) -> None:
        super().__init__()
        self.distinct = config.selection == "distinct"
        self.linear = nn.Linear(points.condition_size + self.distinct, points.num_tokens)

    def reset(self, generator: torch.Generator) -> None:
        """Initialise as PyTorch does a linear layer: uniform on ±1/sqrt(number of inputs)."""
        bound = 1 / math.sqrt(self.linear.in_features)
        for parameter in (self.linear.weight, self.linear.bias):
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, condition: Tensor, block: int) -> Tensor:
        """Map ``condition: (B, C)`` to weights ``(B, N)`` that sum to 1 over the N prompts."""
        if self.distinct:
            index = condition.new_full((len(condition), 1), block)
            condition = torch.cat([condition, index], dim=1)
        return self.linear(condition).softmax(dim=1)
