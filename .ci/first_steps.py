"""What a baseline learns in so many seconds of CPU time: to choose how a scale trains.

    python .ci/first_steps.py mnist 100 batch_size=4,learning_rate=0.003 batch_size=16,num_heads=4

Trains a tuning baseline of the unconditional task anew for each list of settings, of `pretraining`
or of `backbone`, at full resolution from the start (without `begin`), in CPU time of this process,
so that a busy machine distorts it less. Prints the held-out loss of the averaged weights, and draws
samples of them into results/first-steps.
"""

import sys
import time
from itertools import count
from pathlib import Path

import yaml

from dmp import numerics
from dmp.studies import load_plan

scale, limit, *settings = sys.argv[1:]
TASK, SEED, SAMPLES = "unconditional", 1000, 40
FOLDER = Path("results/first-steps")
plan = load_plan(scale)
numerics.settle(plan.scale.numerics, f"scale {scale}")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from dmp.diffusion import Diffusion  # noqa: E402
from dmp.rng import generator  # noqa: E402
from dmp.sampling import sample_images, sample_labels  # noqa: E402
from dmp.stages.common import Context, measure_denoising, new_backbone  # noqa: E402
from dmp.stages.data import task_data  # noqa: E402
from dmp.stages.pretrain import training_stream  # noqa: E402
from dmp.stages.sample import save_grid  # noqa: E402
from dmp.training import Objective  # noqa: E402
from dmp.training.average import Average  # noqa: E402

context = Context.open(plan, Path("results"))
FOLDER.mkdir(parents=True, exist_ok=True)
given = plan.pretraining(TASK, SEED)
data = task_data(context, TASK, given.config)


def changed(words: str):
    """Return the run with other settings of its baseline."""
    parts = {"pretraining": given.config.pretraining, "backbone": given.config.backbone}
    for word in filter(None, words.split(",")):
        name, _, value = word.partition("=")
        part = next(p for p, model in parts.items() if name in type(model).model_fields)
        parts[part] = parts[part].model_copy(update={name: yaml.safe_load(value)})
    return given.model_copy(update={"config": given.config.model_copy(update=parts)})


for words in settings or [""]:
    run = changed(words)
    recipe = run.config.pretraining
    model = new_backbone(context, TASK, run.config)
    model.initialize_weights(generator(SEED, "first steps"))
    objective = Objective(model, Diffusion.of(run.config))
    stream = training_stream(run, objective, data)
    trainable, spent = objective.trainable(), 0.0
    optimizer = torch.optim.AdamW(trainable.values(), lr=recipe.learning_rate, fused=True)
    average = Average(trainable, recipe.ema_decay)
    for step in count():
        size = recipe.batch_size
        batch = stream.__getitems__(range(step * size, (step + 1) * size))
        began = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        objective(batch).total.backward()
        optimizer.step()
        average.update()
        spent += time.process_time() - began
        if spent >= float(limit):
            break
    average.keep()
    loss = measure_denoising(context, run, model.eval(), data.held_out).mse.mean()
    name = words or "as it is"
    print(f"{name}: {step + 1} steps in {spent:.0f} s, held-out loss {loss:.4f}", flush=True)
    labels = sample_labels(SAMPLES, np.zeros(1, np.int64))
    drawn = sample_images(model, run.config, SEED, range(SAMPLES), labels, SAMPLES, "cpu")
    save_grid(FOLDER / f"{name}.png", np.concatenate(list(drawn)))
