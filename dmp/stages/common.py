"""What the stages share: the context of a job, models from configurations, provenance."""

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import nn

from dmp.backbones import DiT
from dmp.config import RunConfig, TaskConfig
from dmp.data.captions import Captions, load_captions
from dmp.data.examples import Examples, Pixels
from dmp.data.images import load_split
from dmp.data.registry import Images, dataset_info
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.metrics import classifier
from dmp.metrics.features import Extractor
from dmp.patching import Patch, patch
from dmp.running.processes import local_process, process_count
from dmp.studies import Plan
from dmp.tensorfile import load_tensors, read_description, save_tensors


@dataclass(frozen=True)
class Context:
    """What a job works in.

    Attributes:
        plan: the scale and its studies.
        layout: where the files are.
        device: ``cpu`` or ``cuda``.
        data: the folder of all datasets, for those that are not embedded.

    """

    plan: Plan
    layout: Layout
    device: str
    data: Path = Path("data")

    @classmethod
    def open(cls, plan: Plan, results: Path, data: Path = Path("data")) -> "Context":
        """Prepare this process: threads, determinism, device."""
        torch.set_num_threads(max(1, plan.scale.execution.threads // process_count()))
        torch.use_deterministic_algorithms(True, warn_only=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda":
            torch.cuda.set_device(local_process())
        # What a job spends before it computes anything; see .ci/overhead.py.
        alive = time.time() - psutil.Process().create_time()
        print(f"started up in {alive:.2f} s", flush=True)
        return cls(plan, Layout(results, plan.name), device, data)


class TaskData(NamedTuple):
    """A task's images, with the labels that its backbone is fed, and its captions.

    Attributes:
        train: training images; where the task has captions, the labels are still classes, since
            each example takes one of its label's captions.
        held_out: held-out images; where the task has captions, those of the test split.
        seen: as many training images as there are held-out ones, labelled as in training.
        captions: None where the task has none.

    """

    train: Examples
    held_out: Images
    seen: Images
    captions: Captions | None

    def sample_order(self, classes: int) -> np.ndarray:
        """Return the labels that samples go through in turn: classes, or test captions."""
        # Captions go by phrasing, so that consecutive samples differ in class.
        return np.arange(classes) if self.captions is None else self.captions.test.T.reshape(-1)


def _captioned(images: Images, numbers: np.ndarray) -> Images:
    """Give each image one of its label's captions, in turn."""
    turn = np.arange(len(images.labels)) % numbers.shape[1]
    return Images(images.images, numbers[images.labels, turn])


def task_data(context: "Context", task: str, config: TaskConfig) -> TaskData:
    """Return a task's data.

    Raises:
        DMPError: unknown dataset, or its captions have not been encoded.

    """
    train, held_out = load_split(config.data)
    if config.conditioning == "none":
        train, held_out = (Images(part.images, part.labels * 0) for part in (train, held_out))
    seen = Images(*(array[: len(held_out.labels)] for array in train))
    if config.conditioning != "text":
        return TaskData(Pixels(train), held_out, seen, None)
    captions = load_captions(context.layout.captions(task))
    held_out, seen = _captioned(held_out, captions.test), _captioned(seen, captions.train)
    return TaskData(Pixels(train), held_out, seen, captions)


def task_extractor(context: Context, task: TaskConfig, second: bool = False) -> Extractor:
    """Return the network whose features a task's metrics compare, loaded once per process.

    Args:
        context: says where its weights lie.
        task: says which network.
        second: the second opinion instead.

    Raises:
        DMPError: unknown extractor, or its weights cannot be had.

    """
    config = task.evaluation.second_opinion if second else task.evaluation.extractor
    assert config is not None  # callers ask for a second opinion only where there is one
    weights = None
    if config.name == classifier.NAME:
        weights = context.layout.extractor(task.data.name)
    elif config.weights is not None:
        weights = context.data / config.weights
    return _extractor(config.name, weights, context.device)


@functools.lru_cache(maxsize=2)
def _extractor(name: str, weights: Path | None, device: str) -> Extractor:
    return Extractor(name, weights, device)


def new_backbone(context: Context, task: str, config: TaskConfig) -> DiT:
    """Return a DiT for a task, not yet initialised."""
    info = dataset_info(config.data.name)
    b = config.backbone
    classes, embeddings = 1, None
    if config.conditioning == "class":
        classes = info.classes
    elif config.conditioning == "text":
        captions = load_captions(context.layout.captions(task))
        classes, embeddings = len(captions.texts), captions.embeddings
    return DiT(
        input_size=info.image_size,
        patch_size=b.patch_size,
        in_channels=info.channels,
        hidden_size=b.hidden_size,
        depth=b.depth,
        num_heads=b.num_heads,
        num_classes=classes,
        class_dropout_prob=config.label_dropout,
        captions=embeddings,
    )


def new_diffusion(task: TaskConfig) -> Diffusion:
    """Return a task's forward process."""
    return Diffusion(task.diffusion.schedule, task.diffusion.timesteps)


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
    backbone = new_backbone(context, run.task, run.config)
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


def save_diverged(path: Path, run: RunConfig, step: int) -> None:
    """Write, in place of weights, that training was not finite after ``step`` iterations."""
    save_tensors(path, {}, {"format": "diverged", "identity": run.training_hash, "step": step})


def has_diverged(path: Path) -> bool:
    """Return whether a run's file of weights says that there are none.

    Raises:
        DMPError: the file is missing or corrupt.

    """
    return read_description(path).get("format") == "diverged"


def load_weights(
    context: Context, run: RunConfig, iteration: int | None = None
) -> tuple[DiT, Patch | None]:
    """Return the backbone as the run trained it, or had by an iteration, and its patch.

    Raises:
        DMPError: a file is missing, corrupt, or of another configuration.

    """
    backbone = pretrained_backbone(context, run)
    names = (run.task, run.variant, run.seed)
    path = context.layout.weights(*names)
    if iteration is not None:
        path = context.layout.snapshot(*names, iteration)
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
