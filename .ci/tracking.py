"""What tracking costs: seconds to bring runs into MLflow, and the log's share of a training step.

    python .ci/tracking.py [runs] [uri]

Each of the runs (500 by default) has 1,000 steps of training, all files of a real one, and is
handed to an empty SQLite store or to ``uri``; once logged every 20 steps, as at the scale `digits`,
and once at every step. CPU seconds stand beside wall-clock ones, for machines that are busy.
"""

import functools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dmp.diffusion import Diffusion
from dmp.runlog import RunLog
from dmp.stages.common import Context, new_backbone
from dmp.stages.data import task_data
from dmp.stages.pretrain import training_stream
from dmp.studies import Plan, load_plan
from dmp.tracking import Parent, ingest
from dmp.tracking.record import MAX_RECORDS
from dmp.training.loop import fit
from dmp.training.objective import Objective

STEPS = 1000
NAMES = ["loss", "loss/mse", "loss/vb", "loss/importance", "loss/load", "gate/entropy"]
NAMES += [f"loss_mse/{100 * i}-{100 * i + 99}" for i in range(10)] + ["steps_per_second", "memory"]
NAMES += ["loss/importance_without_epsilon", "learning_rate"]


@functools.cache
def _plan() -> Plan:
    return load_plan("digits")


def make_run(folder: Path, seed: int, log_every: int) -> Path:
    """Write a folder as a run of DMP leaves it: log, metrics, patch, gate, samples, records."""
    folder.mkdir(parents=True)
    draw = random.Random(seed)
    run = _plan().run("unconditional", "dmp", seed)
    settings = run.model_dump(mode="json")
    head = {name: settings.pop(name) for name in ("scale", "task", "variant", "seed")}
    head |= {"baseline_seed": settings.pop("baseline_seed"), "hash": run.hash, "config": settings}
    (folder / "config.json").write_text(json.dumps(head))
    provenance = {"commit": "0" * 12, "dirty": False}
    provenance |= dict.fromkeys(("started", "finished"), "2026-01-31T12:00:00Z")
    (folder / "provenance.json").write_text(json.dumps(provenance))
    with (folder / "log.jsonl").open("w") as file:
        # One run after another: at one and the same time, as runs never are, rows of all runs would
        # be mixed in the store's index, and each run would touch a thousand of its pages.
        start = 1.7e9 + 200 * seed
        for step in range(log_every, STEPS + 1, log_every):
            values = {name: draw.random() for name in NAMES}
            file.write(json.dumps({"step": step, "time": start + step / 10, **values}) + "\n")
    metrics = ["fid", "kid", "precision", "recall", *(f"denoising_{i}" for i in range(44))]
    rows = "".join(f"{name},all,{STEPS},{draw.random()!r}\n" for name in metrics)
    (folder / "metrics.csv").write_text("metric,bin,iteration,value\n" + rows)
    arrays = np.random.default_rng(seed)
    tensors = {"prompts": arrays.random((4, 16, 48), np.float32)}
    save_file(tensors, folder / "weights.safetensors", {"dmp": json.dumps({"sha256": "0" * 64})})
    weights = arrays.dirichlet(np.ones(16), (50, 4)).astype(np.float32)
    np.savez(folder / "gate.npz", timesteps=np.arange(50) * 20, weights=weights)
    (folder / "samples.png").write_bytes(arrays.bytes(8000))
    return folder


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def ingestion(runs: int, log_every: int, uri: str) -> None:
    """Print how long an ingest takes, and how long it takes when nothing has changed."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        uri = uri or f"sqlite:///{root}/mlflow.db"
        folders = [make_run(root / f"runs/seed{seed}", seed, log_every) for seed in range(runs)]
        # Creating the store's tables is paid once for all scales.
        creation, _ = timed(lambda: ingest([], uri, "benchmark"))
        work = lambda: ingest(folders, uri, "benchmark", parent=Parent("all", "All runs"))  # noqa: E731
        wall, cpu = timed(work)
        records = STEPS // log_every
        kept = min(records, MAX_RECORDS) * len(NAMES) * runs
        print(
            f"{runs} runs of {STEPS} steps, {len(NAMES)} values every {log_every} steps: "
            f"{wall:.1f} s (CPU {cpu:.1f} s); {kept:,} of {records * len(NAMES) * runs:,} points "
            f"kept, {kept / wall:,.0f} a second (CPU {kept / cpu:,.0f})",
            flush=True,
        )
        again, again_cpu = timed(work)
        print(f"  unchanged: {again:.1f} s (CPU {again_cpu:.1f} s); empty store: {creation:.1f} s")


def overhead(steps: int = 100) -> None:
    """Print the log's share of real training of the digits backbone, one thread, in CPU seconds."""
    import torch

    plan = _plan()
    run = plan.pretraining("unconditional", 0)
    config = run.config.pretraining.model_copy(
        update={"iterations": steps, "log_every": 1, "checkpoint_every": steps}
    )
    spent: list[float] = []

    def write(log: RunLog, step: int, values: dict[str, float]) -> None:
        spent.append(timed(lambda: original(log, step, values))[1])

    original = RunLog.write
    with tempfile.TemporaryDirectory() as name:
        context = Context.open(plan, Path(name))
        torch.set_num_threads(1)
        data = task_data(context, "unconditional", run.config)
        backbone = new_backbone(context, "unconditional", run.config)
        objective = Objective(backbone, Diffusion.of(run.config), None)
        stream = training_stream(run, objective, data)
        RunLog.write = write
        try:
            work = lambda: fit(objective, stream, config, Path(name), "benchmark")  # noqa: E731
            _, training = timed(work)
        finally:
            RunLog.write = original
    per_step, per_record = (training - sum(spent)) / steps, sum(spent) / len(spent)
    every = run.config.pretraining.log_every
    print(
        f"a step takes {1e3 * per_step:.2f} ms, a record of the log {1e6 * per_record:.0f} µs: "
        f"{per_record / every / per_step:.4%} of a step with one every {every} steps, "
        f"{per_record / per_step:.2%} with one at every step (CPU seconds of {steps} steps)",
        flush=True,
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    address = sys.argv[2] if len(sys.argv) > 2 else ""
    overhead()
    for frequency in (20, 1):
        ingestion(count, frequency, address)
