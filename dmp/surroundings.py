"""What other programs leave in the environment of a process, put right before anything starts.

A notebook, a scheduler, a container or a wrapper sets variables for its own purposes, and every
process below inherits them. Some would end a job hours later, or let it compute something else;
none of them is meant for this project. :func:`settle_surroundings` is called where the command line
starts, and where Snakemake reads its rules, whose jobs inherit what it has set. What is meant, such
as ``CUDA_VISIBLE_DEVICES``, ``MLFLOW_TRACKING_URI`` or a number of threads, is left alone, and so
are the settings of portable numerics, which are checked: see :mod:`dmp.numerics`.
"""

import difflib
import getpass
import os
import sys
import tempfile
import warnings
from collections.abc import MutableMapping
from pathlib import Path

from dmp.errors import DMPError

# Nothing is shown on a screen.
_FIXED = {"MPLBACKEND": "agg"}
# How a launcher of several processes says which one this is; torchrun, which is ours, sets _RUN.
_LAUNCHED = (
    *("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK"),
    *("MASTER_ADDR", "MASTER_PORT"),
)
_RUN = "TORCHELASTIC_RUN_ID"
# `accelerate launch` and `accelerate config` hand over whole set-ups, such as sharded training.
_FOREIGN = ("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_")
# Left empty, they are not set.
_OURS = "DMP_"
_VARIABLES = ("DMP_DATA", "DMP_SEEDS", "DMP_SWEEP_STORAGE")
# Where caches go if the home directory cannot hold them.
_CACHES = "XDG_CACHE_HOME"


def settle_surroundings(environment: MutableMapping[str, str] = os.environ) -> None:
    """Put right what this process and those that it starts inherit.

    Raises:
        DMPError: the folder that this was started in is gone, there is none for temporary files, or
            one of our variables is misspelt.
    """
    _check_start(environment)
    environment.update(_FIXED)
    environment.pop("MATPLOTLIBRC", None)
    for name in list(environment):
        if name.startswith(_FOREIGN) or (name.startswith(_OURS) and not environment[name].strip()):
            del environment[name]
    if _RUN not in environment:
        for name in _LAUNCHED:
            environment.pop(name, None)
    # Warnings that were made errors would end a job at the first one of any library.
    if "error" in environment.get("PYTHONWARNINGS", ""):
        del environment["PYTHONWARNINGS"]
        warnings.resetwarnings()
    _settle_temporary_folder(environment)
    _settle_user(environment)
    for stream in (sys.stdout, sys.stderr):
        # What its encoding has no sign for is written as an escape, in place of an error.
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")


def _check_start(environment: MutableMapping[str, str]) -> None:
    try:
        Path.cwd()
    except OSError as error:
        why = "the folder that this was started in is gone, or cannot be entered"
        raise DMPError(f"{why}: go to the checkout of the project") from error
    for name in environment:
        meant = difflib.get_close_matches(name, _VARIABLES, 1, 0.8)
        if name.startswith(_OURS) and meant and name not in _VARIABLES:
            raise DMPError(f"{name} in the environment means nothing: did you mean {meant[0]}?")


def _settle_user(environment: MutableMapping[str, str]) -> None:
    """Name a user who has no name, and give caches a place where there is no home directory."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        environment["LOGNAME"] = environment["USER"] = f"uid{os.getuid()}"
    home = environment.get("HOME") or ""
    if not Path(home).is_absolute():  # libraries would make a folder named ~ where they are started
        home = environment["HOME"] = _private_folder("home")
    caches = environment.get(_CACHES) or f"{home}/.cache"
    if not _is_writable(Path(caches)):
        environment[_CACHES] = _private_folder("cache")
        # These do not look there.
        environment.setdefault("MPLCONFIGDIR", _private_folder("matplotlib"))
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", _private_folder("inductor"))
    elif not _is_writable(Path(environment.get("MPLCONFIGDIR") or caches)):
        environment["MPLCONFIGDIR"] = _private_folder("matplotlib")


def _private_folder(name: str) -> str:
    """Return a folder of this user's among the temporary ones, the same for all processes."""
    folder = Path(tempfile.gettempdir()) / f"dmp-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():  # laid out by somebody else
            raise OSError
        (folder / name).mkdir(exist_ok=True)
        return str(folder / name)
    except OSError:
        return tempfile.mkdtemp(prefix=f"dmp-{name}-")


def _is_writable(folder: Path) -> bool:
    """Return whether a folder, or the first above it that is there, can be written to."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _settle_temporary_folder(environment: MutableMapping[str, str]) -> None:
    """Let all programs write where Python finds that it can; some believe in TMPDIR blindly."""
    asked = environment.get("TMPDIR")
    try:
        found = tempfile.gettempdir()
        if asked is not None:
            environment["TMPDIR"] = found
    except OSError as error:
        where = f"TMPDIR={asked} and /tmp" if asked else "/tmp"
        raise DMPError(
            f"no temporary file can be written: {where} are full, not there or not writable; set "
            f"TMPDIR to a folder with some space"
        ) from error
