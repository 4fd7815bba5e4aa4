"""What the stages share: the context of a job, models from configurations, provenance."""

import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dmp.backbones import DiT
from dmp.config import RunConfig, TaskConfig
from dmp.data.images import load_split
from dmp.data.registry import Images, dataset_info
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.files import write_json
from dmp.layout import Layout
from dmp.metrics import classifier
from dmp.metrics.features import Features, extract
from dmp.patching import Patch, patch
from dmp.rng import torch_generator
from dmp.studies import Plan
from dmp.tensorfile import load_tensors, save_tensors
from dmp.training import Objective


@dataclass(frozen=True)
class Context:
    """What a job works in.

    Attributes:
        plan: the scale and its studies.
        layout: where the files are.
        device: ``cpu`` or ``cuda``.

    """

    plan: Plan
    layout: Layout
    device: str

    @classmethod
    def open(cls, plan: Plan, results: Path) -> "Context":
        """Prepare this process: threads, determinism, device."""
        torch.set_num_threads(plan.scale.execution.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(plan, Layout(results, plan.name), device)


def task_data(task: TaskConfig) -> tuple[Images, Images]:
    """Return (training, held-out) images; labels are all 0 where the task has no condition."""
    train, held_out = load_split(task.data)
    if task.conditioning == "none":
        train, held_out = (Images(part.images, part.labels * 0) for part in (train, held_out))
    return train, held_out


def image_features(context: Context, task: TaskConfig, images: np.ndarray) -> Features:
    """Return the features of uint8 images ``(n, C, H, W)`` by the task's extractor.

    Raises:
        DMPError: unknown extractor, or its weights cannot be had.

    """
    name = task.evaluation.extractor.name
    weights = context.layout.extractor(task.data.name) if name == classifier.NAME else None
    return extract(images, name, weights, context.device)


def new_backbone(task: TaskConfig) -> DiT:
    """Return a DiT for a task, not yet initialised."""
    info = dataset_info(task.data.name)
    b = task.backbone
    return DiT(
        input_size=info.image_size,
        patch_size=b.patch_size,
        in_channels=info.channels,
        hidden_size=b.hidden_size,
        depth=b.depth,
        num_heads=b.num_heads,
        num_classes=info.classes if task.conditioning == "class" else 1,
        class_dropout_prob=task.label_dropout,
    )


def new_diffusion(task: TaskConfig) -> Diffusion:
    """Return a task's forward process."""
    return Diffusion(task.diffusion.schedule, task.diffusion.timesteps)


def new_objective(run: RunConfig) -> Objective:
    """Return a freshly initialised backbone with its loss, for training a baseline."""
    backbone = new_backbone(run.config)
    backbone.initialize_weights(torch_generator(run.seed, "backbone initialisation"))
    return Objective(backbone, new_diffusion(run.config), None)


def pretrained_backbone(context: Context, run: RunConfig) -> DiT:
    """Return the converged baseline that a run rests on.

    Raises:
        DMPError: its file is missing, corrupt, or of another configuration.

    """
    path = context.layout.pretrained_weights(run.task, run.baseline_seed)
    tensors, description = load_tensors(path)
    expected = context.plan.slice("pretraining", run.task, seed=run.baseline_seed)
    if description.get("identity") != expected:
        raise DMPError(
            f"{path} was trained under another configuration ({description.get('identity')}, not "
            f"{expected}); delete it and run again"
        )
    backbone = new_backbone(run.config)
    backbone.load_state_dict(tensors, strict=True)
    return backbone.to(context.device)


def attach(run: RunConfig, backbone: DiT) -> Patch | None:
    """Freeze the backbone and attach the run's patch, or leave all weights free to train."""
    return None if run.patch is None else patch(backbone, run.patch, run.seed)


def save_weights(path: Path, run: RunConfig, backbone: nn.Module, attached: Patch | None) -> None:
    """Write what further training made: the patch, all weights, or nothing for the baseline."""
    identity = run.training_hash
    if attached is not None:
        attached.save(path, identity=identity)
    else:
        tensors = {} if run.method == "baseline" else backbone.state_dict()
        save_tensors(path, tensors, {"format": "weights", "identity": identity})


def load_weights(context: Context, run: RunConfig) -> tuple[DiT, Patch | None]:
    """Return the backbone as the run trained it, and its patch.

    Raises:
        DMPError: a file is missing, corrupt, or of another configuration.

    """
    backbone = pretrained_backbone(context, run)
    path = context.layout.weights(run.task, run.variant, run.seed)
    tensors, description = load_tensors(path)
    if description.get("identity") != run.training_hash:
        raise DMPError(
            f"{path} was trained under another configuration ({description.get('identity')}, not "
            f"{run.training_hash}); delete it and run again"
        )
    attached = None
    if run.patch is not None:
        attached = Patch.load(path, backbone)
    elif tensors:
        backbone.load_state_dict(tensors, strict=True)
    return backbone.eval(), attached


def write_record(directory: Path, run: RunConfig, device: str, started: float) -> None:
    """Write ``config.json`` and ``provenance.json``: what ran, from which commit, on what."""
    description = run.model_dump(mode="json")
    names = ("scale", "task", "variant", "seed", "baseline_seed")
    head = {name: description.pop(name) for name in names}
    write_json(directory / "config.json", {**head, "hash": run.hash, "config": description})
    commit, dirty = _commit()
    packages = ("torch", "diffusers", "timm", "accelerate", "torch-fidelity", "numpy")
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "cpu"
    write_json(
        directory / "provenance.json",
        {
            "commit": commit,
            "dirty": dirty,
            "device": device,
            "machine": f"{platform.system()} {platform.machine()}, {name}",
            "python": platform.python_version(),
            "versions": {package: version(package) for package in packages},
            "started": _iso(started),
            "finished": _iso(time.time()),
        },
    )


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _commit() -> tuple[str, bool]:
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
