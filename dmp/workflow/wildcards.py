"""From a rule's wildcards to the arguments of a function."""

import inspect
from collections.abc import Callable
from typing import Protocol, TypeVar

Answer = TypeVar("Answer")
NUMBERS = ("seed", "shard", "worker", "point")


class Wildcards(Protocol):
    """What Snakemake hands to an input function, as far as it is used by name."""

    scale: str
    task: str
    variant: str
    sweep: str


def value(wildcards: Wildcards, name: str) -> str | int:
    """Return a wildcard; seeds, and whatever else is counted, as a number."""
    text = getattr(wildcards, name)
    return int(text) if name in NUMBERS else text


def by_wildcards(function: Callable[..., Answer], **known: str) -> Callable[[Wildcards], Answer]:
    """Return a function of wildcards that calls another with those that its parameters name.

    Args:
        known: parameters that are the same whatever the wildcards.
    """
    names = [name for name in inspect.signature(function).parameters if name not in known]

    def called(wildcards: Wildcards) -> Answer:
        return function(**known, **{name: value(wildcards, name) for name in names})

    return called
