"""What is timed against one another: steps of training and of sampling, of this project and plain.

The public recipe is the loop that DiT is trained with in public, around the same model: all
parameters, AdamW as torch provides it, an average of the weights that is updated one parameter
after the other, products of float32 in TF32 where the GPU has it, and no promise of equal bits.
"""

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dmp.backbones import DiT
from dmp.backbones.compiling import compiled_forward
from dmp.backbones.dit import DiTBlock
from dmp.data.stream import Batch
from dmp.planning.counting import count_model
from dmp.planning.rates import FLOPS_PER_MAC
from dmp.stages.gpu.models import Model, attach, autocast, objective
from dmp.training import Objective
from dmp.training.repeatable import repeatable

DMP, FINE_TUNING = "DMP", "fine-tuning"
PUBLIC, PUBLIC_AMP = "public recipe", "public recipe (AMP)"
PLAIN, PATCHED = "without a patch", "with a patch"
COMPILED = " (compiled)"
LEARNING_RATE, EMA_DECAY = 1e-4, 0.9999


@dataclass(frozen=True)
class Arm:
    """A step that is timed.

    Attributes:
        compiled: whether the blocks go through ``torch.compile``.
        flops: for one image.
        step: makes a step, and returns a loss or an output.
        value: returns what :attr:`step` would, not compiled and without gradients.
        tensors: all that stays between steps.
    """

    name: str
    compiled: bool
    flops: float
    step: Callable[[Batch], Tensor]
    value: Callable[[Batch], Tensor]
    tensors: Callable[[], Iterator[Tensor]]

    @property
    def key(self) -> str:
        """The name, which says what is compiled."""
        return self.name + COMPILED if self.compiled else self.name

    def state_bytes(self) -> int:
        """Return what weights, averages and the optimiser's state take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())

    def forget_gradients(self) -> None:
        """Drop what a step that failed has left."""
        for tensor in self.tensors():
            tensor.grad = None


Builder = Callable[[], list[Arm]]
Stage = Literal["training", "sampling"]


def builders(model: Model, stage: Stage, device: str, bf16: bool) -> dict[str, Builder]:
    """Return what builds the steps of training: of DMP, of fine-tuning, and of the public recipe.

    Where the scale trains in fp32, nothing but the public recipe with AMP is in bf16. In sampling
    they are evaluations of the network without and with a patch.
    """
    if stage == "training":
        return {
            DMP: lambda: _training(model, device, bf16, DMP, "dmp"),
            FINE_TUNING: lambda: _training(model, device, bf16, FINE_TUNING, "fine-tuning"),
            PUBLIC: lambda: _public(model, device),
        }
    return {
        PLAIN: lambda: _sampling(model, device, bf16, PLAIN, "fine-tuning"),
        PATCHED: lambda: _sampling(model, device, bf16, PATCHED, "dmp"),
    }


def train_step(
    whole: Objective, optimizer: torch.optim.Optimizer, batch: Batch, device: str, bf16: bool
) -> Tensor:
    """Take a step as the training loop does; return the loss before it."""
    with repeatable(whole):
        with autocast(device, bf16):
            total = whole(batch).total
        total.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total.detach()


def _training(model: Model, device: str, bf16: bool, name: str, method: str) -> list[Arm]:
    """Return an iteration as the training loop makes it, and the same compiled."""
    backbone = model.build(device)
    whole = objective(backbone, attach(backbone, method)).to(device)
    optimizer = torch.optim.AdamW(whole.groups(LEARNING_RATE), fused=True)

    @torch.no_grad()
    def value(batch: Batch) -> Tensor:
        with autocast(device, bf16):
            return whole(batch).total

    def step(batch: Batch) -> Tensor:
        return train_step(whole, optimizer, batch, device, bf16)

    def tensors() -> Iterator[Tensor]:
        yield from whole.parameters()
        yield from _state(optimizer)

    flops = count_flops(model, method, training=True)
    return [
        Arm(name, False, flops, step, value, tensors),
        Arm(name, True, flops, compiled_step(step, backbone), value, tensors),
    ]


def _public(model: Model, device: str) -> list[Arm]:
    """Return a step of the public recipe without and with AMP, of one model."""
    backbone = model.build(device)
    whole = objective(backbone, attach(backbone, "fine-tuning")).to(device)
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=LEARNING_RATE, weight_decay=0)
    average = [parameter.detach().clone() for parameter in backbone.parameters()]

    def step(batch: Batch, amp: bool) -> Tensor:
        with _as_in_public():
            with autocast(device, amp):
                total = whole(batch).total
            total.backward()
            optimizer.step()
            with torch.no_grad():
                for averaged, parameter in zip(average, backbone.parameters(), strict=True):
                    averaged.mul_(EMA_DECAY).add_(parameter, alpha=1 - EMA_DECAY)
        optimizer.zero_grad(set_to_none=True)
        return total.detach()

    def tensors() -> Iterator[Tensor]:
        yield from whole.parameters()
        yield from average
        yield from _state(optimizer)

    flops = count_flops(model, "fine-tuning", training=True)
    steps = {name: functools.partial(step, amp=name == PUBLIC_AMP) for name in (PUBLIC, PUBLIC_AMP)}
    return [Arm(name, False, flops, own, own, tensors) for name, own in steps.items()]


def _sampling(model: Model, device: str, bf16: bool, name: str, method: str) -> list[Arm]:
    """Return an evaluation of the network, and the same compiled."""
    backbone = model.build(device)
    whole = objective(backbone, attach(backbone, method)).to(device).eval()

    @torch.no_grad()
    def step(batch: Batch) -> Tensor:
        with autocast(device, bf16):
            return backbone(batch.images, batch.timesteps, batch.labels)

    flops = count_flops(model, method, training=False)
    return [
        Arm(name, False, flops, step, step, whole.parameters),
        Arm(name, True, flops, compiled_step(step, backbone), step, whole.parameters),
    ]


def count_flops(model: Model, method: str, training: bool) -> float:
    """Return the floating-point operations of one image, by the formulas of FlopCounterMode.

    Attention that is computed once more in the backward pass is not counted, as usual in MFU.
    """
    with torch.device("meta"):
        backbone = model.sizes.dit()
    counts = count_model(backbone, lambda: attach(backbone, method), model.batch_size)
    return FLOPS_PER_MAC * (counts.training if training else counts.forward)


def _state(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


@contextlib.contextmanager
def _as_in_public() -> Generator[None]:
    """Allow TF32 on a GPU, and operations whose bits differ from time to time."""
    before = torch.get_float32_matmul_precision()
    repeatable = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.use_deterministic_algorithms(repeatable, warn_only=warns)


def compiled_step(step: Callable[[Batch], Tensor], backbone: DiT) -> Callable[[Batch], Tensor]:
    """Return a step in which the blocks are compiled; prompts enter outside of them.

    All blocks share their code, which is compiled once: seconds, where whole models take minutes.
    On a CPU, where speed is not the question, nothing is handed to a compiler of C++.
    """
    backend = "inductor" if torch.cuda.is_available() else "aot_eager"
    forward = compiled_forward(backend)
    blocks = [block for block in backbone.blocks if isinstance(block, DiTBlock)]

    def compiled(batch: Batch) -> Tensor:
        for block in blocks:
            block.__dict__["forward"] = functools.partial(forward, block)
        try:
            return step(batch)
        finally:
            for block in blocks:
                del block.__dict__["forward"]

    return compiled
