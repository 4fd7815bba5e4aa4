"""What `--config` says, and what the jobs of the workflow find in their environment."""

import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmp.errors import DMPError
from dmp.layout import usable_folder

FOLDERS = ("results", "ablations", "data")
KEYS = ("scale", "results", "ablations", "seeds", "data")


@dataclass(frozen=True)
class Settings:
    """What one call of snakemake was asked for.

    Attributes:
        scale: of the targets without a scale in their name.
        results: the folder of all outputs.
        ablations: the folder with scales/, studies/ and sweeps/.
        seeds: how many, in place of the scale's own number.
    """

    scale: str = "digits"
    results: Path = Path("results")
    ablations: Path = Path("ablations")
    seeds: int | None = None


def read_settings(
    config: Mapping[str, Any],
    environment: MutableMapping[str, str] = os.environ,
    arguments: Sequence[str] | None = None,
) -> Settings:
    """Check `--config`, and set the environment that jobs inherit.

    Where datasets are, and how many seeds there are, is left to the environment: changing either
    reruns no job that need not run.

    Args:
        arguments: as they were written, ``key=value``. A path is what was written: YAML would drop
            what follows `` #``, and make a number of ``1e3``.

    Raises:
        DMPError: unknown key, a path that cannot be, or a number of seeds that cannot be.
    """
    unknown = sorted(set(config) - set(KEYS))
    if unknown:
        raise DMPError(f"unknown --config key '{unknown[0]}'; accepted: {', '.join(KEYS)}")
    # Rules call `dmp` of the environment that snakemake itself is installed in, activated or not.
    environment["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), environment.get("PATH", "")]
    )
    # Logs of jobs are files of ours, whatever the encoding of the terminal.
    environment["PYTHONIOENCODING"] = "utf-8"
    folders = {
        key: usable_folder(value, f"--config {key}=")
        for key, value in {**config, **_as_written(arguments or ())}.items()
        if key in FOLDERS
    }
    if "data" in folders:
        environment["DMP_DATA"] = str(folders["data"])
    seeds = config.get("seeds", environment.get("DMP_SEEDS") or None)
    if seeds is not None:
        if not (str(seeds).isdecimal() and int(seeds) > 0):
            raise DMPError(f"--config seeds={seeds}: accepted is a positive whole number")
        environment["DMP_SEEDS"] = str(seeds)
    return Settings(
        str(config.get("scale", Settings.scale)),
        folders.get("results", Settings.results),
        folders.get("ablations", Settings.ablations),
        None if seeds is None else int(seeds),
    )


def _as_written(arguments: Sequence[str]) -> dict[str, str]:
    """Return the values of `--config` that are not in quotes of YAML, as they were written."""
    pairs = (argument.partition("=") for argument in arguments)
    return {key: value for key, _, value in pairs if not value.startswith(("'", '"'))}
