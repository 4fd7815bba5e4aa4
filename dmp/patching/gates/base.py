"""What all gates share, and their registry."""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dmp.config.gates import BUILT_IN, GROUP, announce, gate_names
from dmp.config.patch import PatchConfig
from dmp.errors import DMPError
from dmp.initialisation import normal_, uniform_
from dmp.patching.points import PatchPoints
from dmp.patching.weights import GateOutput, Weighting, apply_noise, select, to_weights
from dmp.registry import add, load_others

GATES: dict[str, type["Gate"]] = {}
AnyGate = TypeVar("AnyGate", bound="Gate")


def register_gate(name: str) -> Callable[[type[AnyGate]], type[AnyGate]]:
    """Make a gate selectable as ``PatchConfig.gate``; used as a decorator of its class."""

    def register(gate: type[AnyGate]) -> type[AnyGate]:
        add(GATES, name, gate, "gate")
        announce(name)
        return gate

    return register


def find_gate(name: str) -> type["Gate"]:
    """Return the class of a gate, importing the file that has it.

    Raises:
        DMPError: there is no such gate.
    """
    if name not in GATES and name in BUILT_IN:
        importlib.import_module(f"dmp.patching.gates.{name.replace('-', '_')}")
    for _, gate in load_others(GROUP, name) if name not in GATES else ():
        GATES[name] = gate
    if name not in GATES:
        raise DMPError(f"patch: unknown gate '{name}'; accepted: {', '.join(gate_names())}, none")
    return GATES[name]


class Gate(nn.Module):
    """What all gates share; a gate has to say :meth:`logits`, or has a forward pass of its own.

    Args:
        points: says widths and number of blocks.
        prompts: K, the number of prompts of a block.
        blocks: the indices of the blocks that it serves, which all have K prompts.

    Attributes:
        needs: options that the gate is defined for, each with the values that it accepts.
    """

    needs: ClassVar[Mapping[str, tuple]] = {}

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
    ) -> GateOutput:
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
        return GateOutput(
            weights[:, :, None] * prompts, Weighting(soft, weights, logits, noisy, deviation)
        )


def common_width(config: PatchConfig, points: PatchPoints, blocks: Sequence[int]) -> int:
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
