"""From a rule's wildcards to the arguments of a function, commas in them included.

Names of variants hold commas, which Snakemake takes for the ends of wildcards. It starts a job of a
cluster as ``--target-jobs rule:variant="dmp,depth=1",seed=0`` and then splits that at each comma:
the job would be another variant's. This is issue 2366 of snakemake/snakemake, open as of version
9.27.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from snakemake_interface_executor_plugins.utils import TargetSpec

Answer = TypeVar("Answer")
# The wildcards of all rules.
NAMES = (
    *("scale", "task", "variant", "seed", "study", "scope", "target", "dataset", "shard", "of"),
    *("sweep", "worker", "point"),
)
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


def join_split(wildcards: Mapping[str, str]) -> dict[str, str]:
    """Return wildcards that were split at commas, as they were."""
    joined: dict[str, str] = {}
    last = ""
    for name, value in wildcards.items():
        if name in NAMES:
            joined[name], last = value, name
        else:
            joined[last] += f",{name}={value}"
    return joined


def keep_commas() -> None:
    """Let this process, as a job of a cluster, read the wildcards that it was started with."""
    whole = property(lambda spec: join_split(spec[1]))
    TargetSpec.wildcards_dict = whole
