"""What ran, from which commit, on what: written beside the results of every run."""

import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import torch

from dmp.files import write_json
from dmp.numerics import in_force, processor
from dmp.studies.run import RunConfig


def write_record(directory: Path, run: RunConfig, device: str, started: float) -> None:
    """Write ``config.json`` and ``provenance.json``: what ran, from which commit, on what."""
    write_config(directory, run)
    commit, dirty = commit_of_code()
    packages = (
        *("torch", "diffusers", "transformers", "timm", "accelerate", "peft", "torch-fidelity"),
        *("numpy", "scipy"),
    )
    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    write_json(
        directory / "provenance.json",
        {
            "commit": commit,
            "dirty": dirty,
            "device": device,
            "numerics": in_force(run.numerics, device),
            "architecture": platform.machine(),
            "machine": f"{platform.system()} {platform.machine()}, {name}",
            "python": platform.python_version(),
            "versions": {package: version(package) for package in packages},
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


def commit_of_code() -> tuple[str, bool]:
    """Return the commit of the code that runs, and whether files differ from it."""
    here = Path(__file__).parent
    try:
        status, head = (
            subprocess.run(
                ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (
                ("status", "--porcelain", "--untracked-files=no"),
                ("rev-parse", "HEAD"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False
    return head[:12], bool(status)
