"""How long a training iteration and a sampling step take, method against method, interleaved."""

import time
from collections.abc import Callable

import pandas as pd
import torch

from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.files import atomic_path
from dmp.products.results import speed_product
from dmp.stages.common import Context, attach, pretrained_backbone
from dmp.stages.data import task_data
from dmp.stages.pretrain import training_stream
from dmp.training import Objective

REPEATS = 20
STEPS = 5
WARM_UP = 2


def measure_speed(context: Context) -> None:
    """Write ``speed.csv``: seconds of ``STEPS`` iterations or steps, one row per repeat.

    The methods take turns, so that whatever else the machine does slows all of them alike; a
    repeat is a block, within which their times are compared. The first turns, in which memory is
    allocated and code is compiled, are not counted.
    """
    rows = []
    for task, variants in context.plan.speed_arms().items():
        seed = context.plan.seeds[0]
        timed = {v: _steps(context, task, v, seed) for v in variants}
        for repeat in range(-WARM_UP, REPEATS):
            for stage in ("training", "sampling"):
                for variant, steps in timed.items():
                    if stage not in steps:
                        continue
                    seconds = _seconds(steps[stage], context.device)
                    if repeat >= 0:
                        rows.append((task, variant, stage, repeat, seconds))
    table = pd.DataFrame(rows, columns=["task", "variant", "stage", "repeat", "seconds"])
    with atomic_path(context.layout.speed_table) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    speed_product(context.plan, context.layout).mark_finished()


def _seconds(step: Callable[[], None], device: str) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _steps(context: Context, task: str, variant: str, seed: int) -> dict[str, Callable[[], None]]:
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
        objective(batch).total.backward()
        optimizer.step()

    return {"training": train, "sampling": sample}
