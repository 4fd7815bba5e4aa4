"""The forward process, its losses, and ancestral sampling."""

from dmp.extras import needs

needs("bench", "diffusers")

from dmp.diffusion.guidance import guided
from dmp.diffusion.losses import Diffusion, Losses
from dmp.diffusion.sampling import sample
from dmp.diffusion.schedule import alphas_cumprod, make_scheduler

__all__ = ["Diffusion", "Losses", "alphas_cumprod", "guided", "make_scheduler", "sample"]
