"""The method: prompts, mixed by a gate that sees the timestep, added to a frozen backbone.

Read in this order: :mod:`~dmp.patching.patch` (what happens at each block, Eqs. 4 and 5),
:mod:`~dmp.patching.gates` and :mod:`~dmp.patching.weights` (the weights),
:mod:`~dmp.patching.placement` (added or prepended), :mod:`~dmp.patching.losses` (Eqs. 9 and 10),
:mod:`~dmp.patching.resizing` (another resolution), :mod:`~dmp.patching.points` and
:mod:`~dmp.patching.adapters` (what a backbone has to say of itself), :mod:`~dmp.patching.loading`
and :mod:`~dmp.patching.hub` (saved patches).
"""

from dmp.config.patch import PatchConfig
from dmp.patching.adapters import patch_points
from dmp.patching.calls import patch_of
from dmp.patching.gates import GATES, Gate, LinearGate, register_gate
from dmp.patching.losses import entropy, importance_loss, load_loss
from dmp.patching.patch import Patch, load_patch, patch
from dmp.patching.points import Block, PatchPoints

__all__ = [
    "GATES",
    "Block",
    "Gate",
    "LinearGate",
    "Patch",
    "PatchConfig",
    "PatchPoints",
    "entropy",
    "importance_loss",
    "load_loss",
    "load_patch",
    "patch",
    "patch_of",
    "patch_points",
    "register_gate",
]
