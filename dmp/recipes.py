"""The recipes that baselines are trained by: the paper's, and one whose learning rate decays."""

from typing import Literal

Recipe = Literal["paper", "decayed"]
PAPER: Recipe = "paper"
DECAYED: Recipe = "decayed"
