"""What it would gain to train several runs of one shape in one batch on one frozen backbone.

    python .ci/together.py digits
    python .ci/together.py mnist-s2

Prints the median milliseconds that an iteration takes for each of 1, 2, 4 and 8 runs whose images
share a pass through the backbone of the unconditional task. Runs that are jobs of their own pay the
first number each; what they would save is the difference to the others.
"""

import statistics
import sys
import time
from pathlib import Path

from dmp import numerics
from dmp.studies import load_plan

(scale,) = sys.argv[1:]
TASK, TURNS, ITERATIONS = "unconditional", 5, 8
plan = load_plan(scale)
numerics.settle(plan.scale.numerics, f"scale {scale}")

import torch  # noqa: E402

from dmp.data.stream import Batch  # noqa: E402
from dmp.diffusion import Diffusion  # noqa: E402
from dmp.stages.common import Context, attach, new_backbone  # noqa: E402
from dmp.stages.data import task_data  # noqa: E402
from dmp.stages.pretrain import training_stream  # noqa: E402
from dmp.training import Objective  # noqa: E402

context = Context.open(plan, Path("results"))
run = plan.run(TASK, "dmp", 0)
data = task_data(context, TASK, run.config)
backbone = new_backbone(context, TASK, run.config).to(context.device)
objective = Objective(backbone, Diffusion.of(run.config), attach(run, backbone))
objective.to(context.device)
stream = training_stream(run, objective, data)
size, half = run.config.training.batch_size, plan.scale.precision == "bf16"


def iterate(batch: Batch) -> float:
    """Return the seconds of one pass forward and backward."""
    began = time.perf_counter()
    with torch.autocast(context.device, torch.bfloat16, enabled=half):
        total = objective(batch).total
    total.backward()
    objective.zero_grad()
    if context.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


batches = {
    runs: Batch(*(part.to(context.device) for part in stream.__getitems__(range(runs * size))))
    for runs in (1, 2, 4, 8)
}
seconds: dict[int, list[float]] = {runs: [] for runs in batches}
# They take turns, so that whatever else the machine does slows all of them alike.
for turn in range(TURNS + 1):
    for runs, batch in batches.items():
        spent = [iterate(batch) / runs for _ in range(ITERATIONS)]
        seconds[runs] += spent if turn else []
for runs, spent in seconds.items():
    print(f"{runs} runs in a batch: {1000 * statistics.median(spent):.1f} ms for each", flush=True)
