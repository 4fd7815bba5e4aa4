"""Names of variants hold commas, which Snakemake takes for the ends of wildcards.

It starts a job of a cluster as ``--target-jobs rule:variant="dmp,depth=1",seed=0`` and then splits
that at each comma: the job would be another variant's. This is issue 2366 of snakemake/snakemake,
open as of version 9.27.
"""

from collections.abc import Mapping

from snakemake_interface_executor_plugins.utils import TargetSpec

# The wildcards of all rules.
NAMES = (
    *("scale", "task", "variant", "seed", "study", "scope", "target", "dataset", "shard", "of"),
    *("sweep", "worker", "point"),
)


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
