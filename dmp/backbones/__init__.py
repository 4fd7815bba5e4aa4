"""Diffusion backbones, and what each tells a patch of itself."""

from dmp.backbones import adapters  # noqa: F401  registers the patch points
from dmp.backbones.dit import SIZES, DiT, Size, dit

__all__ = ["SIZES", "DiT", "Size", "dit"]
