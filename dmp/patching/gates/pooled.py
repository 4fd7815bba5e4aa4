"""A mixture over all prompts for each token: ``mixture = pool``."""

import math

from torch import Tensor

from dmp.patching.gates.linear import LinearGate
from dmp.patching.weights import GateOutput, Weighting


class PooledGate(LinearGate):
    """A true mixture: each token mixes all K prompts of its block.

    Token n takes ``Σ_k a_nk P_k``, a softmax over k of ``G([t; i])_k + x_n · P_k / √D``: the
    prompts are their own keys, so that there are exactly as many parameters as without a pool.
    """

    def forward(
        self,
        tokens: Tensor,
        condition: Tensor,
        block: int,
        prompts: Tensor,
        noise: Tensor | None = None,
    ) -> GateOutput:
        """Return ``(B, N, D)``; the weights on record are means over tokens."""
        logits = self.logits(condition, block, prompts)
        affinity = tokens @ prompts.T / math.sqrt(prompts.shape[1])
        attention = (logits[:, None] + affinity).softmax(dim=2)
        weights = attention.mean(dim=1)
        return GateOutput(attention @ prompts, Weighting(weights, weights))
