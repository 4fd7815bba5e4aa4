"""The attention gate of the released code."""

from collections.abc import Sequence

from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.patching.gates.attention import AttentionGate
from dmp.patching.gates.base import common_width, register_gate
from dmp.patching.points import PatchPoints
from dmp.patching.weights import GateOutput, Weighting


@register_gate("attention-released")
class ReleasedAttentionGate(AttentionGate):
    """The attention gate of the released code's first commit, where it was never called.

    A softmax over the prompts, times the value of the timestep, then a softmax over the tokens in
    each channel: weights ``(B, K, D)`` instead of ``(B, K)``.
    """

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__(config, points, prompts, blocks)
        self.value = nn.Linear(points.condition_size, common_width(config, points, blocks))

    def forward(
        self,
        tokens: Tensor,
        condition: Tensor,
        block: int,
        prompts: Tensor,
        noise: Tensor | None = None,
    ) -> GateOutput:
        """Weight each channel of each prompt; the weights on record are means over channels."""
        attention = self.logits(condition, block, prompts).softmax(dim=1)
        channels = (attention[:, :, None] * self.value(condition)[:, None]).softmax(dim=1)
        weights = channels.mean(dim=2)
        return GateOutput(channels * prompts, Weighting(weights, weights))
