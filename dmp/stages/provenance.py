"""What ran, from which commit, on what: written beside the results of every run."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch

from dmp.backbones.compiling import are_compiled
from dmp.files import write_json
from dmp.numerics import in_force, processor
from dmp.running.programs import NoAnswerError, ask
from dmp.statistics.results import UNKNOWN
from dmp.studies.run import RunConfig


def write_record(directory: Path, run: RunConfig, device: str, started: float) -> None:
    """Write ``config.json`` and ``provenance.json``: what ran, from which commit, on what."""
    write_config(directory, run)
    code = commit_of_code()
    packages = (
        *("torch", "diffusers", "transformers", "timm", "accelerate", "peft", "torch-fidelity"),
        *("numpy", "scipy"),
    )
    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    write_json(
        directory / "provenance.json",
        {
            "commit": code.commit,
            "dirty": code.dirty,
            **({"commit_unknown": code.why} if code.why else {}),
            "device": device,
            "numerics": in_force(run.numerics, device),
            "compiled": are_compiled(),
            "architecture": platform.machine(),
            "machine": f"{platform.system()} {platform.machine()}, {name}",
            "python": platform.python_version(),
            "versions": {package: _version(package) for package in packages},
            # Its mathematical functions are called, too, where no library has its own.
            "libc": " ".join(platform.libc_ver()).strip(),
            "started": _iso(started),
            "finished": _iso(time.time()),
        },
    )


def write_config(directory: Path, run: RunConfig) -> None:
    """Write ``config.json``: what ran, and the fingerprint of its numbers."""
    description = run.model_dump(mode="json")
    names = ("scale", "task", "variant", "seed", "baseline_seed")
    head = {name: description.pop(name) for name in names}
    write_json(directory / "config.json", {**head, "hash": run.hash, "config": description})


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class Code(NamedTuple):
    """Which code runs.

    Attributes:
        commit: its first twelve digits; ``UNKNOWN`` where it is unavailable.
        dirty: whether files differ from it; None where that is unavailable too.
        why: what keeps it from being known.
    """

    commit: str
    dirty: bool | None
    why: str = ""

    def __str__(self) -> str:
        """Return the commit, and ``-dirty`` if files differ from it."""
        return self.commit + ("-dirty" if self.dirty else "")


def commit_of_code(here: Path = Path(__file__)) -> Code:
    """Return the commit of the code that runs, of which ``here`` is a file.

    A checkout of somebody else's is asked as well, which git by itself refuses: its code runs here
    already. What Git's own variables point to, in a hook, say, is another repository.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    # A look at somebody else's checkout writes nothing there.
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}

    def git(*arguments: str) -> str:
        trusting = ("-c", "safe.directory=*")
        return ask("git", *trusting, *arguments, folder=here.parent, environment=environment)

    try:
        git("ls-files", "--error-unmatch", here.name)
        head = git("rev-parse", "HEAD")
        return Code(head[:12], bool(git("status", "--porcelain", "--untracked-files=no")))
    except NoAnswerError as error:
        return Code(UNKNOWN, None, _why(error, here.parent))


def _why(error: NoAnswerError, folder: Path) -> str:
    if "not a git repository" in error.said:
        return f"{folder} is not in a git checkout"
    if "did not match any file" in error.said:
        return f"{folder} is not part of the git checkout around it"
    if "ambiguous argument 'HEAD'" in error.said:
        return "the git checkout has no commit yet"
    return str(error)


def _version(package: str) -> str:
    """Return a package's version; what a run has computed is not lost for want of one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
