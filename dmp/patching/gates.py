"""Gates: from the timestep embedding and the block index to one weight per prompt.

A new gate is one class here and its name in :class:`dmp.config.PatchConfig`.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dmp.config.patch import PatchConfig
from dmp.errors import DMPError
from dmp.initialisation import normal_, uniform_
from dmp.patching.points import PatchPoints
from dmp.patching.weights import Mixed, apply_noise, select, to_weights

GATES: dict[str, type["Gate"]] = {}


def register_gate(name: str) -> Callable[[type["Gate"]], type["Gate"]]:
    """Make a gate selectable as ``PatchConfig.gate``."""

    def register(gate: type["Gate"]) -> type["Gate"]:
        GATES[name] = gate
        return gate

    return register


class Gate(nn.Module):
    """What all gates share; a gate has to say :meth:`logits`, or has a forward pass of its own.

    Args:
        config: the options.
        points: says widths and number of blocks.
        prompts: K, the number of prompts of a block.
        blocks: the indices of the blocks that it serves, which all have K prompts.

    """

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__()
        self.config = config
        # Where what a block has of its own stands, in a gate that does not serve all blocks.
        self.row = {block: row for row, block in enumerate(blocks)}
        # Zeros make the first standard deviation softplus(0) + 0.01 = 0.703, as in the released
        # code; it is shared by all blocks.
        self.noise = (
            nn.Parameter(torch.zeros(points.condition_size, prompts)) if config.gate_noise else None
        )

    def reset(self, source: np.random.Generator) -> None:
        """Initialise; linear layers as PyTorch does, times ``gate_init``."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                # Uniform on ±1/sqrt(number of inputs).
                bound = self.config.gate_init / math.sqrt(layer.in_features)
                for parameter in (layer.weight, layer.bias):
                    uniform_(parameter, bound, source)
            elif isinstance(layer, nn.Embedding):
                normal_(layer.weight, self.config.gate_init, source)

    def logits(self, condition: Tensor, block: int, prompts: Tensor) -> Tensor:
        """Map ``condition: (B, C)`` and a block's ``prompts: (K, D)`` to ``(B, K)``."""
        raise NotImplementedError

    def forward(
        self,
        tokens: Tensor,
        condition: Tensor,
        block: int,
        prompts: Tensor,
        noise: Tensor | None = None,
    ) -> Mixed:
        """Weight the prompts of a block: ``w ⊙ P_i`` (Eq. 5).

        Args:
            tokens: ``(B, N, D)``, the block's input.
            condition: ``(B, C)``.
            block: the index i.
            prompts: ``(K, D)``, P_i.
            noise: ``(B, K)``, standard normal, or None outside training.

        """
        logits = self.logits(condition, block, prompts)
        noisy, deviation = apply_noise(logits, condition, self.noise, noise)
        soft = to_weights(noisy, self.config)
        weights = select(soft, self.config)
        return Mixed(weights[:, :, None] * prompts, soft, weights, logits, noisy, deviation)


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


@register_gate("attention")
class AttentionGate(Gate):
    """Prompts as queries, the timestep as the key: a softmax over prompts lets the gate choose."""

    def __init__(
        self, config: PatchConfig, points: PatchPoints, prompts: int, blocks: Sequence[int]
    ) -> None:
        super().__init__(config, points, prompts, blocks)
        width = _width(config, points, blocks)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(points.condition_size, width)

    def logits(self, condition: Tensor, block: int, prompts: Tensor) -> Tensor:
        """Return ``(W_q P) · (W_k t) / √D``."""
        return self.key(condition) @ self.query(prompts).T / math.sqrt(prompts.shape[1])


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
        self.value = nn.Linear(points.condition_size, _width(config, points, blocks))

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
    ) -> Mixed:
        """Return V(t) for every token; there are no weights to balance."""
        return Mixed(self.value(condition)[:, None].expand(-1, len(prompts), -1))


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
        self.value = nn.Linear(points.condition_size, _width(config, points, blocks))

    def forward(
        self,
        tokens: Tensor,
        condition: Tensor,
        block: int,
        prompts: Tensor,
        noise: Tensor | None = None,
    ) -> Mixed:
        """Weight each channel of each prompt; the weights on record are means over channels."""
        attention = self.logits(condition, block, prompts).softmax(dim=1)
        channels = (attention[:, :, None] * self.value(condition)[:, None]).softmax(dim=1)
        weights = channels.mean(dim=2)
        return Mixed(channels * prompts, weights, weights)


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
    ) -> Mixed:
        """Return ``(B, N, D)``; the weights on record are means over tokens."""
        logits = self.logits(condition, block, prompts)
        affinity = tokens @ prompts.T / math.sqrt(prompts.shape[1])
        attention = (logits[:, None] + affinity).softmax(dim=2)
        weights = attention.mean(dim=1)
        return Mixed(attention @ prompts, weights, weights)


def _width(config: PatchConfig, points: PatchPoints, blocks: Sequence[int]) -> int:
    """Return D, for a gate that depends on it."""
    every = points.blocks(config.placement)
    widths = sorted({every[block].width for block in blocks})
    if len(widths) > 1:
        raise DMPError(
            f"patch: gate = {config.gate} needs blocks of one width, but blocks "
            f"{', '.join(map(str, blocks))}, which share a gate, have widths "
            f"{', '.join(map(str, widths))}; accepted here: linear, constant, none"
        )
    return widths[0]


def make_gate(
    config: PatchConfig, points: PatchPoints, prompts: Sequence[int]
) -> Gate | nn.ModuleDict | None:
    """Return the gate that the options ask for; None for prompt tuning.

    Args:
        config: the options.
        points: the backbone.
        prompts: K of each patched block.

    Returns:
        One gate; or, where blocks differ in K, one for each K, shared by the blocks that have it,
        named by K in the order of execution.

    Raises:
        DMPError: the gate needs blocks of one width, and they differ.

    """
    if config.gate == "none":
        return None
    kind = PooledGate if config.mixture == "pool" else GATES[config.gate]
    served: dict[int, list[int]] = {}
    for block, count in enumerate(prompts):
        served.setdefault(count, []).append(block)
    gates = [kind(config, points, count, blocks) for count, blocks in served.items()]
    if len(gates) == 1:
        return gates[0]
    return nn.ModuleDict(zip(map(str, served), gates, strict=True))
