"""How long a training iteration and a sampling step take, method against method, interleaved."""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch

from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.files import write_csv
from dmp.products.results import speed_product
from dmp.stages.common import Context, attach, pretrained_backbone
from dmp.stages.data import task_data
from dmp.stages.pretrain import training_stream
from dmp.statistics.contrast import Aligned, Contrast
from dmp.training import Objective
from dmp.training.repeatable import repeatable

# A block is so many turns, in each of which every method makes one step.
TURNS = 9
WARM_UP = 2
FEWEST, MOST = 12, 500
# Blocks are added until the 95 % intervals of all ratios of times reach no further than this, a
# fraction of what the claims ask about, or for so long: whatever the ratios are, so that looking at
# them decides nothing. Training and sampling have that long each.
PRECISE, SECONDS = 0.002, 150.0

Step = Callable[[], object]


def measure_speed(context: Context) -> None:
    """Write ``speed.csv``: the median seconds of an iteration or a step, one row per block.

    Where nothing may be concluded, there are no more blocks than ``FEWEST``.
    """
    rows, most = [], MOST if context.plan.scale.conclusive else FEWEST
    for task, variants in context.plan.speed_arms().items():
        seed = context.plan.seeds[0]
        steps = {v: _steps(context, task, v, seed) for v in variants}
        for stage in ("training", "sampling"):
            timed = {v: own[stage] for v, own in steps.items() if stage in own}
            blocks = time_blocks(timed, context.device, most=most)
            rows += [
                (task, variant, stage, number, seconds)
                for number, block in enumerate(blocks)
                for variant, seconds in block.items()
            ]
    table = pd.DataFrame(rows, columns=["task", "variant", "stage", "repeat", "seconds"])
    write_csv(context.layout.speed_table, table)
    speed_product(context.plan, context.layout).mark_finished()


def time_blocks(
    steps: Mapping[str, Step],
    device: str,
    clock: Callable[[], float] = time.perf_counter,
    *,
    turns: int = TURNS,
    fewest: int = FEWEST,
    most: int = MOST,
    seconds: float = SECONDS,
) -> list[dict[str, float]]:
    """Time steps that take turns; return for each block the median seconds of each step.

    The turns are each time in another order, so that whatever else the machine does slows all steps
    alike. The first, in which memory is allocated and code is compiled, are not counted.

    Args:
        turns: steps of each name in a block.
        fewest: blocks that there are at least; further ones until times are precise.
        most: and at most.
        seconds: after which no further block begins.
    """
    names, blocks, turn = list(steps), [], 0
    for _ in range(WARM_UP):
        for name in names:
            _seconds(steps[name], device, clock)
    started = clock()
    while len(blocks) < most:
        times: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(turns):
            turn += 1
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                times[name].append(_seconds(steps[name], device, clock))
        blocks.append({name: statistics.median(own) for name, own in times.items()})
        if len(blocks) >= fewest and (_precise(blocks) or clock() - started > seconds):
            break
    return blocks


def _precise(blocks: list[dict[str, float]]) -> bool:
    """Return whether the ratios of all pairs of times are known well enough."""
    pairs = itertools.combinations(blocks[0], 2)
    found = (log_ratio(blocks, one, other) for one, other in pairs)
    # A single block has no interval.
    return all(each.high - each.low <= 2 * PRECISE for each in found)


def log_ratio(blocks: list[dict[str, float]], name: str, against: str) -> Contrast:
    """Return the logarithm of how many times as long as another a step takes, by block."""
    values = pd.DataFrame(blocks)[[name, against]].to_numpy()
    return Aligned(values, np.zeros(len(blocks))).logs().contrast([1, -1])


def _seconds(step: Step, device: str, clock: Callable[[], float]) -> float:
    started = clock()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def _steps(context: Context, task: str, variant: str, seed: int) -> dict[str, Step]:
    """Return one sampling step of a variant and, if it trains, one training iteration."""
    run = context.plan.run(task, variant, seed)
    backbone = pretrained_backbone(context, run)
    attached = attach(run, backbone)
    diffusion, loss = Diffusion.of(run.config), run.config.training.loss
    objective = Objective(backbone, diffusion, attached, loss).to(context.device)
    data = task_data(context, task, run.config)
    stream = training_stream(run, objective, data)
    examples = stream.__getitems__(range(run.config.training.batch_size))
    batch = Batch(*(part.to(context.device) for part in examples))
    count = context.plan.scale.execution.at_once(task)
    rows = torch.arange(count) % len(batch.images)
    x, t, y = batch.images[rows], batch.timesteps[rows], batch.labels[rows]

    @torch.no_grad()
    def sample() -> None:
        backbone(x, t, y)

    if not objective.trainable():
        return {"sampling": sample}
    optimizer = torch.optim.AdamW(objective.groups(run.config.training.learning_rate), fused=True)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        with repeatable(objective):
            objective(batch).total.backward()
        optimizer.step()

    return {"training": train, "sampling": sample}
