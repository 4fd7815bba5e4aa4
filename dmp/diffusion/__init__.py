"""The forward process, its losses, and ancestral sampling."""

from dmp.diffusion.guidance import guided
from dmp.diffusion.losses import Diffusion, Losses
from dmp.diffusion.sampling import sample
from dmp.diffusion.schedule import alphas_cumprod

__all__ = ["Diffusion", "Losses", "alphas_cumprod", "guided", "sample"]
