"""Diffusion backbones, what each tells a patch of itself, and weights from elsewhere."""

from dmp.extras import needs

needs("bench", "diffusers", "timm")

from dmp.backbones import adapters  # noqa: F401  registers the patch points
from dmp.backbones.base import Backbone
from dmp.backbones.building import build_backbone
from dmp.backbones.dit import SIZES, DiT, Size, dit
from dmp.backbones.importing import load_diffusers_dit, load_public_dit
from dmp.patching import load_patch

__all__ = [
    "SIZES",
    "Backbone",
    "DiT",
    "Size",
    "build_backbone",
    "dit",
    "load_diffusers_dit",
    "load_patch",
    "load_public_dit",
]
