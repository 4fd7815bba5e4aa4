"""Commands that train, sample and evaluate runs."""

from typing import Annotated

import typer

from dmp.cli.workspace import LARGEST_SEED, USE, Processes, Seed, Task, Variant, Workspace, command
from dmp.errors import DMPError

app = typer.Typer()


@command(app, USE)
def run(
    workspace: Workspace,
    task: Task,
    variant: Annotated[
        list[str], typer.Argument(help="method,key=value,... such as dmp,depth=1; several at once.")
    ],
    seed: Annotated[
        list[int],
        typer.Option(help="May be given several times.", min=0, max=LARGEST_SEED, show_default="0"),
    ] = [0],  # noqa: B006  typer copies it
) -> None:
    """Train, sample and evaluate variants, for one seed or several, in one process.

    Each ends with its metrics, those of its baseline, and its folder.
    """
    runs = [workspace.plan.run(task, name, each) for name in variant for each in seed]
    context = workspace.context("run")
    from dmp.stages.outcome import outcome
    from dmp.stages.run import complete_run

    for each in runs:
        complete_run(context, each)
        print(f"\n{outcome(workspace.layout, each)}\n", flush=True)


@command(app)
def train(
    workspace: Workspace, task: Task, variant: Variant, seed: Seed = 0, processes: Processes = None
) -> None:
    """Train one run, without sampling."""
    from dmp.running.launch import share_training

    run = workspace.plan.run(task, variant, seed)
    needed = workspace.plan.scale.execution.resources("train")
    if share_training(needed, run.config.training.batch_size, run.batch_losses, processes):
        return
    context = workspace.context("train")
    from dmp.stages.data import task_data
    from dmp.stages.run import train_run

    train_run(context, run, task_data(context, task, run.config))


@command(app)
def sample(
    workspace: Workspace,
    task: Task,
    variant: Variant,
    seed: Seed = 0,
    shard: Annotated[
        int | None, typer.Option(help="Draw this part alone, from 1.", min=1, max=10**9)
    ] = None,
    of: Annotated[int | None, typer.Option(help="How many parts.", min=1, max=10**9)] = None,
    join: Annotated[bool, typer.Option(help="Join the parts; as many as the scale says.")] = False,
) -> None:
    """Sample a trained run, and keep images and features; or a part of them, or join the parts."""
    if shard is not None and (of is None or shard > of):
        raise DMPError(f"--shard {shard} --of {of}: accepted are 1 to the number of parts")
    run = workspace.plan.run(task, variant, seed)  # first: a wrong name should not wait for torch
    context = workspace.context("merge" if join else "sample")
    from dmp.sampling.shards import Shard
    from dmp.stages.data import task_data
    from dmp.stages.sample import join_shards, sample_run

    if join:
        join_shards(context, run, of or workspace.plan.scale.execution.sampling_shards)
        return
    part = None if shard is None or of is None else Shard(shard, of)
    sample_run(context, run, task_data(context, task, run.config), part)


@command(app)
def evaluate(workspace: Workspace, task: Task, variant: Variant, seed: Seed = 0) -> None:
    """Compute the metrics of a sampled run."""
    run = workspace.plan.run(task, variant, seed)  # first: a wrong name should not wait for torch
    context = workspace.context("evaluate")
    from dmp.stages.data import task_data
    from dmp.stages.evaluate import evaluate_run

    evaluate_run(context, run, task_data(context, task, run.config))


@command(app)
def speed(workspace: Workspace) -> None:
    """Time training and sampling of the methods whose speed is claimed to be alike."""
    context = workspace.context("speed")
    from dmp.stages.speed import measure_speed

    measure_speed(context)
