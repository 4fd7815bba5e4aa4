"""Ranges of timesteps over which losses are averaged; works on NumPy arrays and torch tensors."""

from typing import Any


def timestep_bin(timesteps: Any, bins: int, total: int) -> Any:
    """Return the bin of each timestep in [0, total): equally wide, 0 the least noisy."""
    return timesteps * bins // total


def bin_label(index: int, bins: int, total: int) -> str:
    """Return the bin's range of timesteps, both ends included, such as ``0-99``."""
    first = -(-index * total // bins)
    last = -(-(index + 1) * total // bins) - 1
    return f"{first}-{last}"
