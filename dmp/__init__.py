"""Reproducibility benchmark for Diffusion Model Patching via Mixture-of-Prompts (DMP).

What a model of yours needs is here: :func:`patch`, :class:`Patch`, :class:`PatchConfig` and
:func:`load_patch`; for an adapter :func:`patch_points`, :class:`PatchPoints` and :class:`Block`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmp.config.patch import PatchConfig
    from dmp.errors import DMPError
    from dmp.patching import Block, Patch, PatchPoints, load_patch, patch, patch_points

__version__ = "0.1.0"

__all__ = [
    "Block",
    "DMPError",
    "Patch",
    "PatchConfig",
    "PatchPoints",
    "__version__",
    "load_patch",
    "patch",
    "patch_points",
]

_ELSEWHERE = {"DMPError": "dmp.errors", "PatchConfig": "dmp.config.patch"}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: torch takes seconds, and pages do without.
    if name not in __all__:
        raise AttributeError(f"module 'dmp' has no attribute '{name}'")
    value = getattr(importlib.import_module(_ELSEWHERE.get(name, "dmp.patching")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
