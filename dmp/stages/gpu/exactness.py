"""What must come out of a device: the same bits each time, and what a CPU computes."""

import functools

import torch
from torch import Tensor

from dmp.backbones.compiling import why_not_compiled
from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.diffusion.sampling import sample
from dmp.rng import generator
from dmp.stages.gpu.arms import LEARNING_RATE, compiled_step, train_step
from dmp.stages.gpu.checking import CheckFailedError, SkippedError
from dmp.stages.gpu.models import TIMESTEPS, Model, attach, autocast, objective, relative_difference
from dmp.training.repeatable import repeatable

ITERATIONS, IMAGES, SAMPLED, STEPS = 3, 8, 2, 4
# Two roundings of the same numbers differ by √2 times as much as each of them differs from the
# number, and not every device adds up in the same order.
ROUNDINGS = 3


def check_repeatable(model: Model, device: str, bf16: bool, compiled: bool = False) -> str:
    """Train a few steps of DMP and of fine-tuning and sample, twice.

    Args:
        compiled: whether the blocks are, of training and of sampling.

    Raises:
        CheckFailedError: the bits differ, a number is not finite, a frozen weight has moved or
            what trains has not.
        SkippedError: blocks cannot be compiled here.
    """
    if compiled and (why := why_not_compiled()):
        raise SkippedError(why)
    for method in ("dmp", "fine-tuning"):
        first, second = (_train_and_sample(model, method, device, bf16, compiled) for _ in range(2))
        for name, value in first.items():
            if not torch.isfinite(value).all():
                raise CheckFailedError(f"{method}: {name} is not finite")
            if not torch.equal(value, second[name]):
                raise CheckFailedError(f"{method}: {name} has other bits the second time")
    return f"{ITERATIONS} iterations of DMP and fine-tuning, {SAMPLED} samples: the same bits twice"


def _train_and_sample(
    model: Model, method: str, device: str, bf16: bool, compiled: bool
) -> dict[str, Tensor]:
    """Return all that was trained, by name, and samples ``(n, C, H, W)``."""
    backbone = model.build(device)
    attached = attach(backbone, method)
    whole = objective(backbone, attached).to(device)
    optimizer = torch.optim.AdamW(whole.groups(LEARNING_RATE), fused=True)
    trained, batch = whole.trainable(), model.batch(IMAGES, device)
    before = {name: value.detach().clone() for name, value in whole.named_parameters()}

    def step(batch: Batch) -> Tensor:
        return train_step(whole, optimizer, batch, device, bf16)

    def prediction(batch: Batch) -> Tensor:
        with autocast(device, bf16):
            return backbone(batch.images, batch.timesteps, batch.labels)

    run = functools.partial(compiled_step, backbone=backbone) if compiled else lambda call: call
    train, evaluate = run(step), run(prediction)
    for _ in range(ITERATIONS):
        train(batch)
    for name, value in whole.named_parameters():
        if name not in trained and not torch.equal(value, before[name]):
            raise CheckFailedError(f"{method}: {name} has changed, and must not")
    if not any(not torch.equal(value, before[name]) for name, value in trained.items()):
        raise CheckFailedError(f"{method}: nothing has changed in {ITERATIONS} iterations")
    del before
    whole.eval()

    def network(x: Tensor, t: Tensor) -> Tensor:
        return evaluate(Batch(x, torch.zeros_like(t), t, x))

    shape = (model.sizes.channels, model.sizes.input_size, model.sizes.input_size)
    sources = [generator(0, "gpu-check", number) for number in range(SAMPLED)]
    drawn = sample(Diffusion("linear", TIMESTEPS), network, shape, sources, STEPS, False, device)
    return {name: value.detach() for name, value in trained.items()} | {"a sample": drawn}


def check_against_cpu(model: Model, device: str) -> str:
    """Compare the gradient of a patched step in bf16 with the CPU's.

    How far bf16 is from float32 on the CPU says what rounding does.

    Raises:
        CheckFailedError: they differ by more than rounding.
    """
    backbone = model.build("cpu")
    whole = objective(backbone, attach(backbone, "dmp"))
    batch = model.batch(2, "cpu")

    def gradient(on: str, bf16: bool) -> Tensor:
        whole.to(on)
        with repeatable(whole):
            with autocast(on, bf16):
                total = whole(Batch(*(part.to(on) for part in batch))).total
            total.backward()
        found = [p.grad.flatten().cpu() for p in whole.trainable().values() if p.grad is not None]
        whole.zero_grad(set_to_none=True)
        return torch.cat(found)

    exact, expected, found = gradient("cpu", False), gradient("cpu", True), gradient(device, True)
    rounding, apart = relative_difference(expected, exact), relative_difference(found, expected)
    said = f"gradients differ by {apart:.2%}; bf16 from float32 by {rounding:.2%}"
    if not apart <= ROUNDINGS * rounding:
        raise CheckFailedError(f"{said}, of which {ROUNDINGS} times as much is accepted")
    return said
