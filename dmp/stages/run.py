"""Further training of a converged baseline, and all stages of a run in one process."""

import time

from dmp.diffusion import Diffusion
from dmp.methods import find_method
from dmp.products.runs import run_products
from dmp.running.processes import is_main_process
from dmp.stages.common import Context, alone, attach, pretrained_backbone, save_diverged
from dmp.stages.data import TaskData, task_data
from dmp.stages.evaluate import evaluate_run, write_finished
from dmp.stages.pretrain import set_foreign_state_aside, training_stream
from dmp.stages.provenance import write_record
from dmp.stages.sample import sample_run
from dmp.studies.run import RunConfig
from dmp.training import DivergedError, Objective, fit
from dmp.training.watch import Watch


def train_run(context: Context, run: RunConfig, data: TaskData, watch: Watch | None = None) -> None:
    """Train what the run's method trains, and write it; the baseline trains nothing.

    Where several processes train together, the first alone writes. Training that does not stay
    finite is an outcome and not an error: the run says so, and ends. If another process is training
    it, this one waits, and trains only what that has not.
    """
    directory = context.layout.run(run.task, run.variant, run.seed)
    with alone(directory, "training") as waited:
        if waited and run_products(context.layout, run)["weights"].is_current():
            print(f"{directory}: its weights now exist", flush=True)
            return
        _train(context, run, data, watch)


def _train(context: Context, run: RunConfig, data: TaskData, watch: Watch | None) -> None:
    started = time.time()
    names = (run.task, run.variant, run.seed)
    directory, path = context.layout.run(*names), context.layout.weights(*names)
    made = run_products(context.layout, run)["weights"]
    fingerprint, diverged = made.fingerprint, None
    resolution = run.config.training.resolution
    if resolution is not None:
        data, watch = data.trained_at(resolution), None  # curves are of the dataset's own images
    backbone = pretrained_backbone(context, run, resolution)
    attached = attach(run, backbone)
    try:
        method = find_method(run.method)
        if method.trains:
            if is_main_process():
                set_foreign_state_aside(directory, fingerprint)
            training = run.config.training
            objective = Objective(backbone, Diffusion.of(run.config), attached, training.loss)
            watched = () if watch is None else watch.steps

            def on_snapshot(step: int) -> None:
                if step in run.snapshots:
                    attached.save(context.layout.snapshot(*names, step), fingerprint)
                if watch is not None and step in watched:
                    objective.eval()
                    watch.look(step, backbone)
                    objective.train()

            start = None
            if method.continues:
                state = context.layout.pretrained_state(*run.baseline)
                start = (state, run.fingerprint("baseline"))
            fit(
                objective,
                training_stream(run, objective, data, method.continues),
                training,
                directory,
                fingerprint,
                run.precision,
                training.ema_decay,
                snapshots={*run.snapshots, *watched},
                on_snapshot=on_snapshot,
                start=start,
            )
    except DivergedError as error:
        diverged = error
    if not is_main_process():
        return
    write_record(directory, run, context.device, started)
    if diverged is None:
        attached.save(path, fingerprint)
    else:
        print(diverged, flush=True)
        save_diverged(path, run, diverged.step)
    made.mark_finished()


def complete_run(context: Context, run: RunConfig, watch: Watch | None = None) -> None:
    """Train, sample and evaluate one run, as far as that has not been done already.

    So a job of several runs that was killed goes on with the one that it was at, and what an edit
    leaves as it is, is not computed again; nor is what another process is computing.
    """
    with alone(context.layout.run(run.task, run.variant, run.seed), "run"):
        _complete(context, run, watch)


def _complete(context: Context, run: RunConfig, watch: Watch | None) -> None:
    where = f"{run.task}/{run.variant}/seed{run.seed}"
    made = run_products(context.layout, run)
    if all(product.is_current() for product in made.values()):
        print(f"{where} is there already: delete its folder to compute it anew", flush=True)
        write_finished(context.layout, run)
        # What the other runs of its job rest on may be newer: else the job would never be done.
        made["metrics"].mark_finished()
        return
    data = task_data(context, run.task, run.config)
    if made["weights"].is_current():
        print(f"{where}: its weights are there already", flush=True)
    else:
        train_run(context, run, data, watch)
    if made["samples"].is_current():
        print(f"{where}: its samples are there already", flush=True)
    else:
        sample_run(context, run, data)
    evaluate_run(context, run, data)
    # Only now: a kill while sampling must not cost the training.
    directory = context.layout.run(run.task, run.variant, run.seed)
    (directory / "checkpoint.safetensors").unlink(missing_ok=True)
