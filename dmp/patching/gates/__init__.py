"""Gates: from the timestep embedding and the block index to one weight per prompt.

A new gate is one file here, named as :class:`dmp.config.PatchConfig` calls it; or a class of
another package, which that names under the entry-point group ``dmp.gates``.
"""

from collections.abc import Sequence

from torch import nn

from dmp.config.patch import PatchConfig
from dmp.errors import DMPError
from dmp.patching.gates.base import GATES, Gate, find_gate, register_gate
from dmp.patching.gates.linear import LinearGate
from dmp.patching.gates.pooled import PooledGate
from dmp.patching.points import PatchPoints

__all__ = ["GATES", "Gate", "LinearGate", "find_gate", "make_gate", "register_gate"]


def make_gate(
    config: PatchConfig, points: PatchPoints, prompts: Sequence[int]
) -> Gate | nn.ModuleDict | None:
    """Return the gate that the options ask for; None for prompt tuning.

    Args:
        prompts: K of each patched block.

    Returns:
        One gate; or, where blocks differ in K, one for each K, shared by the blocks that have it,
        named by K in the order of execution.

    Raises:
        DMPError: unknown gate; options that it is not defined for; or blocks of several widths,
            where it needs one.
    """
    if config.gate == "none":
        return None
    kind = PooledGate if config.mixture == "pool" else find_gate(config.gate)
    for option, accepted in kind.needs.items():
        if getattr(config, option) not in accepted:
            raise DMPError(
                f"patch: gate = {config.gate} is defined for {option} = "
                f"{' or '.join(map(str, accepted))}, not {getattr(config, option)}"
            )
    served: dict[int, list[int]] = {}
    for block, count in enumerate(prompts):
        served.setdefault(count, []).append(block)
    gates = [kind(config, points, count, blocks) for count, blocks in served.items()]
    if len(gates) == 1:
        return gates[0]
    return nn.ModuleDict({str(k): gate for k, gate in zip(served, gates, strict=True)})
