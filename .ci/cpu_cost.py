"""What a scale costs on this machine's CPU: seconds of one core, stage by stage and page by page.

    python .ci/cpu_cost.py mnist [seeds]

The four kinds of work are timed for the backbone of each task's size, in turns, in CPU time of
this process, so that a busy machine distorts it less. From there on it is `dmp plan`.
"""

import datetime
import statistics
import sys
import time

from dmp import numerics
from dmp.studies import load_plan

scale = sys.argv[1]
plan = load_plan(scale, seeds=int(sys.argv[2]) if len(sys.argv) > 2 else None)
numerics.settle(plan.scale.numerics, f"scale {scale}")

import torch  # noqa: E402

from dmp.config import PatchConfig  # noqa: E402
from dmp.kernels import pin_products  # noqa: E402
from dmp.methods import find_method  # noqa: E402
from dmp.patching import patch  # noqa: E402
from dmp.planning.cost import jobs  # noqa: E402
from dmp.planning.counting import count_model  # noqa: E402
from dmp.planning.rates import FLOPS_PER_MAC, HOUR, Rates  # noqa: E402
from dmp.planning.tables import cost_table, stage_table, total  # noqa: E402
from dmp.planning.throughput import Gpu, Measurement, Sizes, Throughput  # noqa: E402
from dmp.stages.common import settle_torch  # noqa: E402

ROUNDS = 5
settle_torch(1)
if plan.scale.numerics == "portable":
    pin_products()


def measure(sizes: Sizes, batch: int, at_once: int) -> Measurement:
    """Time training steps and network evaluations, with and without a patch."""
    models = {False: sizes.dit(), True: sizes.dit()}
    patch(models[True], PatchConfig())
    seconds: dict[tuple[bool, bool], list[float]] = {}
    for _ in range(1 + ROUNDS):
        for patched, model in models.items():
            for training in (True, False):
                images = batch if training else at_once
                x = torch.randn(images, sizes.channels, sizes.input_size, sizes.input_size)
                t, y = torch.randint(1000, (images,)), torch.zeros(images, dtype=torch.int64)
                began = time.process_time()
                with torch.set_grad_enabled(training):
                    predicted = model(x, t, y)
                if training:
                    predicted.square().mean().backward()
                took = time.process_time() - began
                seconds.setdefault((patched, training), []).append(took)
    rate = {
        (patched, training): (batch if training else at_once) / statistics.median(values[1:])
        for (patched, training), values in seconds.items()
    }
    print(f"{sizes}: a step of {batch} {batch / rate[False, True]:.3f} s, "
          f"with a patch {batch / rate[True, True]:.3f} s; "
          f"{at_once} evaluations {at_once / rate[False, False]:.3f} s, "
          f"with a patch {at_once / rate[True, False]:.3f} s", flush=True)  # fmt: skip
    return Measurement(
        **sizes.model_dump(), name="CPU", batch_size=batch, sampling_batch_size=at_once,
        full_training=rate[False, True], patch_training=rate[True, True],
        sampling=rate[False, False], patched_sampling=rate[True, False],
    )  # fmt: skip


found: dict[str, Measurement] = {}
for name in sorted({task for task, _ in plan.variants()}):
    config = plan.scale.tasks[name]
    sizes = Sizes.of(config)
    if sizes is None:
        sys.exit(f"task {name} is not of a DiT")
    if str(sizes) not in found:
        at_once = plan.scale.execution.at_once(name)
        found[str(sizes)] = measure(sizes, config.training.batch_size, at_once)
# What is computed beside the backbones, and their losses, at the speed of a forward pass.
first = next(iter(found.values()))
with torch.device("meta"):
    model = first.dit()
method = find_method("dmp")
forward = count_model(model, lambda: method.attach(model, method.options(), 0), 1).forward
tera = FLOPS_PER_MAC * forward * first.sampling / 1e12
measured = Throughput(
    gpu="CPU", device=numerics.processor(), torch=torch.__version__, commit="", compiled=False,
    date=datetime.date.today(), precision=plan.scale.precision, models=list(found.values()),
)  # fmt: skip
every = jobs(plan, Rates(Gpu(fp32=tera, memory=1), 1.0, plan.scale.precision, [measured]))
stages = stage_table(every)
stages["core seconds"] = stages.pop("GPU-hours") * HOUR
print(stages[["stage", "jobs", "core seconds"]].round().to_string(index=False))
pages = cost_table(plan, every, 1, None)
pages["adds, core seconds"] = pages["adds, GPU-h"] * HOUR
print(pages[["table", "rows", "runs", "adds, core seconds"]].round().to_string(index=False))
whole = total(every, every).hours
print(f"{whole * HOUR:,.0f} core seconds: {whole / 2:.1f} h on two cores; {measured.device}")
