"""The recipe of the baselines that evidence rests on."""

from typing import Literal

Recipe = Literal["paper", "decayed"]
PAPER: Recipe = "paper"
DECAYED: Recipe = "decayed"


def on_recipe(variant: str, recipe: str) -> str:
    """Return the canonical name of a variant on baselines of another recipe.

    Args:
        variant: a canonical name, on the paper's recipe or on any.
        recipe: ``paper`` leaves it as it is.

    """
    if recipe == PAPER:
        return variant
    method, *options = variant.split(",")
    others = [option for option in options if not option.startswith("recipe=")]
    return ",".join([method, *sorted([*others, f"recipe={recipe}"])])


def is_decayed(variant: str) -> bool:
    """Return whether a variant, by its canonical name, is on decayed baselines."""
    return f"recipe={DECAYED}" in variant.split(",")
