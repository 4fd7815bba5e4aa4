"""Time and memory of steps that take turns, at the largest batch that fits."""

import math
import statistics
from dataclasses import dataclass, field
from functools import partial

import torch

from dmp.backbones.compiling import why_not_compiled
from dmp.data.stream import Batch
from dmp.stages.gpu.arms import Arm, Stage, builders
from dmp.stages.gpu.checking import CheckFailedError
from dmp.stages.gpu.models import Model, relative_difference
from dmp.stages.speed import Step, log_ratio, time_blocks

# How far compiled bf16 may be from the same not compiled: some units in the last of its 8 bits.
TOLERANCE = 0.03
# Of steps in a block, and of blocks: medians of few steps are enough where a GPU has one user.
TURNS, FEWEST = 5, 3


@dataclass(frozen=True)
class Measured:
    """What was measured of the steps of one model.

    Attributes:
        stage: whether they train or sample.
        batch: images of a step.
        arms: the steps by name.
        blocks: for each block of turns, the median seconds of each.
        memory: peak of each, in GiB; empty on a CPU, where it says little.
    """

    model: Model
    stage: Stage
    batch: int
    arms: dict[str, Arm]
    blocks: list[dict[str, float]]
    memory: dict[str, float] = field(default_factory=dict)

    def seconds(self, key: str) -> float:
        """Return the median of a step over the blocks."""
        return statistics.median(block[key] for block in self.blocks)

    def flops_per_second(self, key: str) -> float:
        """Return what a step computes in a second, in floating-point operations."""
        return self.arms[key].flops * self.batch / self.seconds(key)

    def ratio(self, key: str, against: str) -> tuple[float, float, float] | None:
        """Return how many times as long as another a step takes, with its 95 % interval.

        It is over blocks, and NaN with one of them; None without either step.
        """
        if not {key, against} <= set(self.arms):
            return None
        found = log_ratio(self.blocks, key, against)
        return math.exp(found.mean), math.exp(found.low), math.exp(found.high)


def measure(
    model: Model, stage: Stage, device: str, bf16: bool, seconds: float
) -> tuple[Measured, list[str], list[str]]:
    """Time the steps of a model against one another.

    The batch is halved until all of them fit, so that all have the same. Returned is what was
    measured; what failed; and what was left out, and why.

    Args:
        bf16: whether this project's steps are in bf16.
        seconds: for repetitions; there are at least ``FEWEST`` blocks.

    Raises:
        OutOfMemoryError: it does not fit with one image.
        CheckFailedError: no step could be made.
    """
    torch.compiler.reset()  # what was compiled for other sizes counts toward torch's limit
    arms, notes = _build(model, stage, device, bf16)
    wanted = batch = model.batch_size if stage == "training" else model.sampling_batch_size
    while (tried := _try(arms, model, batch, device)) is None:
        batch //= 2
        if batch == 0:
            raise torch.OutOfMemoryError
    fitting, memory, failed = tried
    if not fitting:
        raise CheckFailedError("; ".join(failed))
    if batch < wanted:
        notes.append(f"{batch} images at once, since {wanted} do not fit into memory")
    inputs = model.batch(batch, device)
    steps: dict[str, Step] = {arm.key: partial(arm.step, inputs) for arm in fitting}
    blocks = time_blocks(steps, device, turns=TURNS, fewest=FEWEST, seconds=seconds)
    by_key = {arm.key: arm for arm in fitting}
    return Measured(model, stage, batch, by_key, blocks, memory), failed, notes


def _build(model: Model, stage: Stage, device: str, bf16: bool) -> tuple[list[Arm], list[str]]:
    """Return the steps whose state fits into memory, and what is said of the others."""
    arms: list[Arm] = []
    why = why_not_compiled()
    notes = [why] if why else []
    one = model.batch(1, device)
    for name, build in builders(model, stage, device, bf16).items():
        try:
            built = build()
            for arm in built:
                if not arm.compiled:
                    arm.step(one)  # makes the optimiser's state
        except torch.OutOfMemoryError:
            notes.append(f"{name} does not fit into memory")
            built = []
        arms += [arm for arm in built if not (why and arm.compiled)]
    if not arms:
        raise torch.OutOfMemoryError
    return arms, notes


def _try(
    arms: list[Arm], model: Model, batch: int, device: str
) -> tuple[list[Arm], dict[str, float], list[str]] | None:
    """Make each step once; None if one of them does not fit into memory.

    Returned are the steps that can be made, the peak of memory in GiB, and what is wrong with the
    others.
    """
    inputs, fitting, failed = model.batch(batch, device), [], []
    memory: dict[str, float] = {}
    for arm in arms:
        try:
            memory |= _first_step(arm, inputs, device)
        except torch.OutOfMemoryError:
            pass  # not handled here, where the exception still holds what filled the memory
        except Exception as error:  # compilers fail in many ways; the rest is timed
            reason = (str(error).splitlines() or [""])[0]
            failed.append(f"{arm.key}: {type(error).__name__}: {reason}")
            continue
        else:
            fitting.append(arm)
            continue
        for each in arms:
            each.forget_gradients()
        if device == "cuda":
            torch.cuda.empty_cache()
        return None
    return fitting, memory, failed


def _first_step(arm: Arm, inputs: Batch, device: str) -> dict[str, float]:
    """Make a step, check what comes out, and return its peak of memory in GiB; on a GPU."""
    arm.step(inputs)  # compiles, and makes the optimiser's state
    expected, before = arm.value(inputs) if arm.compiled else None, 0
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    found = arm.step(inputs)
    if not torch.isfinite(found).all():
        raise CheckFailedError("what comes out is not finite")
    if expected is not None:
        differs = relative_difference(found, expected)
        if differs > TOLERANCE:
            raise CheckFailedError(f"differs by {differs:.1%} from the step that is not compiled")
    if device != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated() - before + arm.state_bytes()
    return {arm.key: peak / 2**30}
