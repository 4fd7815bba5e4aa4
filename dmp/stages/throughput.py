"""How fast this machine trains and samples a scale's backbones, in a file for ``dmp plan``."""

import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch
import yaml

from dmp.backbones import SIZES, Backbone
from dmp.config import from_data, nearest
from dmp.data.noise import standard_normal
from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.files import write_text
from dmp.methods import find_method
from dmp.methods.attached import Attached
from dmp.planning.throughput import (
    THROUGHPUT,
    Measurement,
    Sizes,
    Throughput,
    Work,
    find_gpu,
    load_gpus,
)
from dmp.rng import generator
from dmp.stages.common import Context
from dmp.stages.provenance import commit_of_code
from dmp.training import Objective

WARM_UP, REPEATS = 5, 20
CPU = "CPU"
TIMESTEPS = 1000


def measure_throughput(
    context: Context,
    gpu: str = CPU,
    tasks: list[str] | None = None,
    *,
    batch_size: int | None = None,
    compiled: bool = False,
    repeats: int = REPEATS,
    note: str = "",
    folder: Path = THROUGHPUT,
) -> Path:
    """Write a throughput file of the backbones of a scale; return its path.

    Each backbone is built without its condition, which costs next to nothing, and is fed noise:
    loading data, averaging weights and writing files are not in the numbers. A number that does not
    fit into memory is left out, and the file says so.

    Args:
        context: the scale, and the device.
        gpu: the kind of GPU, by its name in ``gpus.yaml``; ``CPU`` on a CPU.
        tasks: whose backbones; of all tasks, if left out.
        batch_size: of training, in place of each task's own.
        compiled: whether backbones go through ``torch.compile``.
        repeats: how many iterations are timed; the median counts.
        note: for readers of the file.
        folder: of ``gpus.yaml``; the file is written there.

    Raises:
        DMPError: an unknown task, a kind of GPU that is unknown or does not fit the device, or the
            file cannot be written.

    """
    plan, scale = context.plan, context.plan.scale
    known = load_gpus(folder)
    if (context.device == "cuda") == (gpu == CPU):
        raise DMPError(
            f"this process computes on '{context.device}', which is not {gpu}: give the kind of "
            f"GPU that it is ({', '.join(known.gpus)}), or {CPU} on a machine without one"
        )
    if gpu != CPU:
        find_gpu(known, gpu, scale.precision)
    for name in tasks or []:
        if name not in scale.tasks:
            raise DMPError(f"unknown task '{name}': {nearest(name, scale.tasks)}")
    found: dict[str, Measurement] = {}
    missing: list[str] = []
    for name in tasks or list(scale.tasks):
        task = scale.tasks[name]
        backbone = Sizes.of(task)
        if backbone is None:
            missing.append(f"{name} is not measured: its backbone is not a DiT")
            print(missing[-1], flush=True)
            continue
        model = _name(backbone)
        if model in found:
            continue
        sizes = (batch_size or task.training.batch_size, scale.execution.sampling_batch_size)
        numbers: dict[str, float | None] = {}
        for work in get_args(Work):
            try:
                rate, memory = _measure(context, backbone, work, *sizes, compiled, repeats)
            except torch.cuda.OutOfMemoryError:
                missing.append(f"{work} of {model} does not fit into memory")
                print(missing[-1], flush=True)
                continue
            print(f"{model}: {work}: {rate:.4g}/s", flush=True)
            numbers |= {work: rate, f"{work}_memory": memory}
        batches = {"batch_size": sizes[0], "sampling_batch_size": sizes[1]}
        found[model] = from_data(
            Measurement, {**backbone.model_dump(), "name": model, **batches, **numbers}, model
        )
    if not found:
        raise DMPError(f"nothing was measured: {'; '.join(missing)}; name a task with a DiT")
    file = Throughput(
        gpu=gpu,
        device=_device(context.device),
        torch=torch.__version__,
        commit=str(commit_of_code()),
        date=datetime.datetime.now(datetime.UTC).date(),
        precision=scale.precision,
        compiled=compiled,
        note="; ".join(part for part in (note, *missing) if part),
        models=list(found.values()),
    )
    path = folder / f"{gpu}-{plan.name}-{scale.precision}{'-compiled' if compiled else ''}.yaml"
    data = file.model_dump(mode="json", exclude_none=True)
    write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return path


def _name(sizes: Sizes) -> str:
    """Return ``DiT-B/2`` and its kin, with the input where it is not that of 256×256 latents."""
    names = {tuple(size): name for name, size in SIZES.items()}
    blocks = f"{sizes.depth}x{sizes.hidden_size}"
    known = names.get((sizes.depth, sizes.hidden_size, sizes.num_heads), blocks)
    edge, channels = sizes.input_size, sizes.channels
    at = "" if (edge, channels) == (32, 4) else f" at {edge}x{edge}x{channels}"
    return f"DiT-{known}/{sizes.patch_size}{at}"


def _device(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def _measure(
    context: Context,
    sizes: Sizes,
    work: Work,
    batch_size: int,
    sampling_batch_size: int,
    compiled: bool,
    repeats: int,
) -> tuple[float, float | None]:
    """Return images (or network evaluations) per second, and the peak of memory in GiB."""
    device, cuda = context.device, context.device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    backbone = sizes.dit()
    backbone.initialize_weights(generator(0, "backbone initialisation"))
    backbone.to(device)
    method = find_method("dmp" if work.startswith("patch") else "fine-tuning")
    attached = method.attach(backbone, method.options(), seed=0)
    if compiled:
        backbone.compile()
    if work.endswith("training"):
        count, step = batch_size, _training(context, backbone, attached, batch_size)
    else:
        count, step = sampling_batch_size, _sampling(context, backbone, sampling_batch_size)
    seconds = []
    for repeat in range(-WARM_UP, repeats):
        started = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize()
        if repeat >= 0:
            seconds.append(time.perf_counter() - started)
    # What a CPU process takes says little of what a model takes.
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
    return count / statistics.median(seconds), memory


def _autocast(context: Context) -> torch.autocast:
    enabled = context.plan.scale.precision == "bf16"
    return torch.autocast(context.device, torch.bfloat16, enabled=enabled)


def _noise(backbone: Backbone, count: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images of noise, and a timestep for each."""
    shape = (backbone.in_channels, backbone.input_size, backbone.input_size)
    images = standard_normal(0, "throughput", range(count), shape)
    return images.to(device), torch.arange(count, device=device) % TIMESTEPS


def _training(
    context: Context, backbone: Backbone, attached: Attached, count: int
) -> Callable[[], None]:
    """Return one training iteration, as the training loop does it."""
    diffusion = Diffusion("linear", TIMESTEPS)
    objective = Objective(backbone, diffusion, attached).to(context.device)
    optimizer = torch.optim.AdamW(objective.groups(1e-4), fused=True)
    images, timesteps = _noise(backbone, count, context.device)
    labels = torch.zeros(count, dtype=torch.int64, device=context.device)
    batch = Batch(images, labels, timesteps, images.flip(0))

    def step() -> None:
        with _autocast(context):
            total = objective(batch).total
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()

    return step


def _sampling(context: Context, backbone: Backbone, count: int) -> Callable[[], None]:
    """Return one evaluation of the network for each of ``count`` images."""
    backbone.eval()
    images, timesteps = _noise(backbone, count, context.device)
    labels = torch.zeros(count, dtype=torch.int64, device=context.device)

    @torch.no_grad()
    def step() -> None:
        with _autocast(context):
            backbone(images, timesteps, labels)

    return step
