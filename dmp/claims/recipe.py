"""The recipe of the baselines that evidence rests on."""

from dmp.methods import Recipe, Variant

PAPER: Recipe = "paper"
DECAYED: Recipe = "decayed"


def is_decayed(variant: str) -> bool:
    """Return whether a variant is on decayed baselines."""
    return Variant.parse(variant).origin.recipe == DECAYED
