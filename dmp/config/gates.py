"""The names of all gates, known without importing any: gates compute, and configurations do not."""

import pkgutil
from importlib.metadata import entry_points
from pathlib import Path

GROUP = "dmp.gates"
_SHARED = {"base", "pooled"}
_FOLDER = Path(__file__).parents[1] / "patching" / "gates"
# Each is the name of a file.
BUILT_IN = tuple(
    module.name.replace("_", "-")
    for module in pkgutil.iter_modules([str(_FOLDER)])
    if module.name not in _SHARED
)
_ANNOUNCED: set[str] = set()


def announce(name: str) -> None:
    """Make a gate's name acceptable that this process has registered itself."""
    _ANNOUNCED.add(name)


def gate_names() -> list[str]:
    """Return the names of all gates: our own, those of other packages, and announced ones."""
    return sorted({*BUILT_IN, *_ANNOUNCED, *entry_points(group=GROUP).names})
