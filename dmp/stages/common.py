"""What the stages share: the context of a job, models from configurations, provenance."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from dmp.backbones import Backbone, DiT, build_backbone
from dmp.backbones.compiling import compile_blocks
from dmp.config import TaskConfig, UNetConfig
from dmp.data.autoencoder import load_autoencoder
from dmp.data.captions import load_captions
from dmp.data.registry import Images
from dmp.data.text import TextStore
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, understood
from dmp.kernels import pin_products
from dmp.layout import Layout
from dmp.methods import find_method
from dmp.methods.attached import Attached
from dmp.metrics import classifier
from dmp.metrics.denoising import BATCH, DenoisingLosses, denoising_losses
from dmp.metrics.features import Extractor
from dmp.numerics import Numerics, in_force
from dmp.products.runs import baseline_product
from dmp.running.holding import hold
from dmp.running.memory import keep_freed_memory
from dmp.running.processes import is_main_process, local_process, process_count
from dmp.stages.provenance import write_record
from dmp.studies import Plan
from dmp.studies.run import RunConfig
from dmp.tensorfile import load_tensors, read_description, save_tensors


def settle_torch(threads: int) -> str:
    """Prepare torch in this process, and return the device, ``cpu`` or ``cuda``.

    The process shares ``threads`` with others that train with it.
    """
    torch.set_num_threads(max(1, threads // process_count()))
    # Read when CUDA starts; without it cuBLAS may add up in another order each time.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that nothing was written to; to fill it all takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # ty: ignore[missing-attribute]
    keep_freed_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(local_process())
    return device


@dataclass(frozen=True)
class Context:
    """What a job works in.

    Attributes:
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
        device = settle_torch(plan.scale.execution.threads)
        if in_force(plan.scale.numerics, device) == "portable":
            pin_products()
        if plan.scale.execution.compile and device == "cuda":
            compile_blocks()
        # What a job spends before it computes anything; see .ci/overhead.py.
        alive = time.time() - psutil.Process().create_time()
        print(f"started up in {alive:.2f} s", flush=True)
        return cls(plan, Layout(results, plan.name), device, data)

    @property
    def numerics(self) -> Numerics:
        """What is in force here of the numerics that the scale asks for."""
        return in_force(self.plan.scale.numerics, self.device)


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Generator[bool]:
    """Let no other process make the same thing meanwhile; wait for one that does.

    Such a process may have been left by a workflow that was killed, or be of another one. Of
    several processes that train together, the first alone waits, and the others for it.

    Args:
        folder: where it is made.
        what: of what there is in the folder: ``run`` or ``training``.

    Yields:
        Whether it had to wait: the thing may be there now.
    """
    if not is_main_process():
        yield False
        return

    def waiting(who: str) -> None:
        print(f"{folder}: {who} is making the same; waiting for it", flush=True)

    with hold(folder / f".{what}.held", waiting) as waited:
        yield waited


def task_extractor(context: Context, task: TaskConfig, second: bool = False) -> Extractor:
    """Return the network whose features a task's metrics compare, or the second opinion.

    It is loaded once per process.

    Raises:
        DMPError: unknown extractor, or its weights are unavailable.
    """
    config = task.evaluation.second_opinion if second else task.evaluation.extractor
    assert config is not None  # callers ask for a second opinion only where there is one
    weights = None
    if config.name == classifier.NAME:
        weights = context.layout.extractor(task.data.name)
    elif config.weights is not None:
        weights = context.data / config.weights
    return _extractor(config.name, weights, context.device)


def decoder(context: Context, task: TaskConfig) -> Callable[[Tensor], Tensor]:
    """Return the map from what a backbone makes to images in [-1, 1]: none, or an autoencoder's.

    Raises:
        DMPError: the autoencoder is unavailable, or does not fit the configuration.
    """
    if task.data.latents is None:
        return lambda images: images
    return open_autoencoder(task.data.latents, context.device).decode


# Loaded once per process.
_extractor = functools.lru_cache(maxsize=2)(Extractor)
open_autoencoder = functools.lru_cache(maxsize=1)(load_autoencoder)


def new_backbone(context: Context, task: str, config: TaskConfig) -> Backbone:
    """Return a task's backbone, not yet initialised.

    Raises:
        DMPError: its captions have not been encoded, or by another encoder.
    """
    if config.text is None:
        return build_backbone(config)
    if isinstance(config.backbone, UNetConfig):
        return build_backbone(config, TextStore(context.layout.text(task), config.text.name))
    return build_backbone(config, load_captions(context.layout.captions(task)).embeddings)


def measure_denoising(
    context: Context, run: RunConfig, backbone: Backbone, images: Images
) -> DenoisingLosses:
    """Return a run's denoising losses of ``images``, as its task and the scale's memory ask."""
    return denoising_losses(
        backbone,
        Diffusion.of(run.config),
        images,
        run.config.evaluation.timesteps_per_image,
        context.device,
        context.plan.scale.execution.at_once(run.task, BATCH),
    )


def check_identity(path: Path, found: Any, expected: str, made: str = "trained") -> None:
    """Refuse a file that was made under another configuration than the one expected."""
    if found != expected:
        raise DMPError(
            f"{path} was {made} under another configuration ({found}, not {expected}); delete it "
            f"and run again"
        )


def pretrained_backbone(context: Context, run: RunConfig, edge: int | None = None) -> Backbone:
    """Return the converged baseline that a run rests on; for images of an edge, where one is given.

    Raises:
        DMPError: its file is missing, corrupt, or of another configuration.
    """
    path = context.layout.pretrained_weights(*run.baseline)
    tensors, description = load_tensors(path, STAGE_OUTPUT)
    check_identity(path, description.get("identity"), run.fingerprint("baseline"))
    backbone = new_backbone(context, run.task, run.config)
    with understood(path):
        backbone.load_state_dict(tensors, strict=True)
    if edge is not None:
        assert isinstance(backbone, DiT)  # the plan has seen to it
        backbone = backbone.resized(edge)
    return backbone.to(context.device)


def write_baseline(context: Context, run: RunConfig, backbone: Backbone, started: float) -> None:
    """Write a baseline's weights, and where they come from; its state has been written.

    The work began at ``started``, in seconds since the epoch.
    """
    write_record(context.layout.pretrained(*run.baseline), run, context.device, started)
    description = {"format": "weights", "identity": run.fingerprint("baseline")}
    path = context.layout.pretrained_weights(*run.baseline)
    save_tensors(path, backbone.state_dict(), description)
    baseline_product(context.layout, run).mark_finished()


def attach(run: RunConfig, backbone: nn.Module) -> Attached:
    """Prepare a backbone for the training of a run, as its method says."""
    return find_method(run.method).attach(backbone, run.options, run.seed)


def save_diverged(path: Path, run: RunConfig, step: int) -> None:
    """Write, in place of weights, that training was not finite after ``step`` iterations."""
    fingerprint = run.fingerprint("weights")
    save_tensors(path, {}, {"format": "diverged", "identity": fingerprint, "step": step})


def has_diverged(path: Path) -> bool:
    """Return whether a run's file of weights says that there are none.

    Raises:
        DMPError: the file is missing or corrupt.
    """
    return read_description(path, STAGE_OUTPUT).get("format") == "diverged"


def load_weights(
    context: Context, run: RunConfig, iteration: int | None = None, edge: int | None = None
) -> tuple[Backbone, Attached]:
    """Return the backbone as the run trained it, or had by an iteration, and what is attached.

    With ``edge``, it is for images of that height and width.

    Raises:
        DMPError: a file is missing, corrupt, or of another configuration.
    """
    backbone = pretrained_backbone(context, run, edge)
    names = (run.task, run.variant, run.seed)
    path = context.layout.weights(*names)
    if iteration is not None:
        path = context.layout.snapshot(*names, iteration)
    found = read_description(path, STAGE_OUTPUT).get("identity")
    check_identity(path, found, run.fingerprint("weights"))
    attached = find_method(run.method).load(path, backbone, run.options)
    return backbone.eval(), attached
