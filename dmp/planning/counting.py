"""Multiply-accumulates and parameters of a run, counted on its real modules without any data.

One multiply-accumulate (MAC) is two floating-point operations; the DiT paper prints MACs and calls
them Gflops. Matrix products and convolutions count and nothing else, by PyTorch's own formulas:
norms, activations and the addition of prompts take under a percent of the arithmetic, though more
of the time of a small model. Everything is on the device ``meta``, where tensors have shapes and no
numbers, so that a network of any size takes no memory.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dmp.backbones import Backbone, build_backbone
from dmp.config import TaskConfig, UNetConfig, content_hash
from dmp.methods import find_method
from dmp.methods.attached import Attached
from dmp.planning.networks import CAPTION_TOKENS
from dmp.planning.throughput import Sizes
from dmp.studies.run import PRETRAINING, RunConfig


@dataclass(frozen=True)
class Counts:
    """What a run computes for each image, and how many numbers it has.

    Attributes:
        forward: MACs of one forward pass, outside of training.
        training: MACs of one training step, forward and backward.
        backbone: how many numbers the backbone's weights are, fixed ones among them.
        trained: how many numbers train.
        frozen: whether weights of the backbone do not train that could.
        sizes: of the backbone, by which measurements of it are found; None if it is not a DiT.
    """

    forward: float
    training: float
    backbone: int
    trained: int
    frozen: bool
    sizes: Sizes | None = None

    @property
    def saved(self) -> int:
        """How many numbers are saved of a training: what trained, or all of the backbone."""
        return self.trained if self.frozen else self.backbone


# By what decides them: many variants of a plan differ in learning rates and lengths alone.
_COUNTED: dict[str, Counts] = {}


def count(run: RunConfig) -> Counts:
    """Return what a run computes, with batches of the size that it trains on."""
    task = run.config.model_dump(include={"data", "backbone", "conditioning", "text"})
    key = content_hash(
        [task, run.config.label_dropout, run.method, run.options, run.config.training.batch_size]
    )
    if key not in _COUNTED:
        _COUNTED[key] = _count(run)
    return _COUNTED[key]


def _count(run: RunConfig) -> Counts:
    with torch.device("meta"):
        backbone = build_backbone(run.config, _captions(run.config))
    batch_size = run.config.training.batch_size
    name = "fine-tuning" if run.method == PRETRAINING else run.method
    method = find_method(name)
    counts = count_model(backbone, lambda: method.attach(backbone, run.options, 0), batch_size)
    return dataclasses.replace(counts, sizes=Sizes.of(run.config))


def count_model(backbone: Backbone, attach: Callable[[], Attached], batch_size: int) -> Counts:
    """Return what a backbone on ``meta`` computes with what is attached to it."""
    own = {p: p.requires_grad for p in backbone.parameters()}
    with torch.device("meta"):
        attached = attach()
    added = attached.module
    modules: list[nn.Module] = [backbone] if added is None else [backbone, added]
    size = (backbone.in_channels, backbone.input_size, backbone.input_size)
    images = torch.empty(batch_size, *size, device="meta")
    timesteps = torch.empty(batch_size, dtype=torch.int64, device="meta")
    labels = torch.zeros(batch_size, dtype=torch.int64, device="cpu")

    def macs(training: bool) -> _Macs:
        for module in modules:
            module.train(training)
        if training and attached.noise_shape is not None:
            attached.set_noise(torch.empty(batch_size, *attached.noise_shape, device="meta"))
        with _Macs() as counter, sdpa_kernel(SDPBackend.MATH):
            backbone(images, timesteps, labels)
        return counter

    step, alone = macs(training=True), macs(training=False)
    trained = {p: p.numel() for m in modules for p in m.parameters() if p.requires_grad}
    return Counts(
        forward=alone.forward / batch_size,
        training=(step.forward + step.backward) / batch_size,
        backbone=sum(p.numel() for p in own),
        trained=sum(trained.values()),
        frozen=any(trains and not p.requires_grad for p, trains in own.items()),
    )


class _Macs(TorchDispatchMode):
    """Counts the MACs of a forward pass, and those of the backward pass that would follow.

    A product has a gradient for each of its two factors that needs one, and each costs as much as
    the product itself.
    """

    # By operation, and by the shapes of what it is given. To find the shapes of results takes most
    # of the time on ``meta``, and the blocks of a network ask for the same ones again and again.
    _results: dict[tuple, Any] = {}

    def __init__(self) -> None:
        super().__init__()
        self.forward = self.backward = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = self._result(func, args, kwargs)
        packet = func._overloadpacket
        if packet in flop_registry:
            macs = flop_registry[packet](*args, **kwargs, out_val=result) // 2
            added = packet in (torch.ops.aten.addmm, torch.ops.aten.baddbmm)
            factors = args[1:3] if added else args[:2]
            self.forward += macs
            self.backward += macs * sum(factor.requires_grad for factor in factors)
        return result

    def _result(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if func.is_view or func._schema.is_mutable:
            return func(*args, **kwargs)
        key = (func, _shapes(args), _shapes(tuple(kwargs.items())))
        result = self._results.get(key)
        if result is None:
            result = func(*args, **kwargs)
            if not _is_on_meta(result):
                return result
            self._results[key] = result
        # Another tensor each time, since autograd writes into it what it came from.
        several = isinstance(result, tuple)
        return tuple(part.detach() for part in result) if several else result.detach()


def _shapes(value: Any) -> Any:
    """Return an argument with the shapes of tensors in their place, as a key."""
    if isinstance(value, Tensor):
        return (value.shape, value.stride(), value.dtype, value.device)
    return tuple(map(_shapes, value)) if isinstance(value, list | tuple) else value


def _is_on_meta(result: Any) -> bool:
    parts = result if isinstance(result, tuple) else (result,)
    return all(isinstance(part, Tensor) and part.is_meta for part in parts)


class _States:
    """States of captions, of which there are none but their shape."""

    null = 0

    def __init__(self, width: int) -> None:
        self.width = width

    def sequence(self, numbers: np.ndarray) -> Tensor:
        return torch.empty(len(numbers), CAPTION_TOKENS, self.width, device="meta")


def _captions(task: TaskConfig) -> Tensor | _States | None:
    if task.text is None:
        return None
    if isinstance(task.backbone, UNetConfig):
        return _States(task.text.hidden_size)
    # Of how many captions there are, no count depends.
    return torch.empty(2, task.text.hidden_size)
