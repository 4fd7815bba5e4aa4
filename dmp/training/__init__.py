"""One training loop for all methods; the only difference is which parameters train."""

from dmp.extras import needs

needs("bench", "accelerate", "psutil", "tqdm")

from dmp.training.loop import DivergedError, fit
from dmp.training.objective import Objective, Terms

__all__ = ["DivergedError", "Objective", "Terms", "fit"]
