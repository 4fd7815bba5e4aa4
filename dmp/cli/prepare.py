"""Commands that make what the runs rest on: data, features of real images, baselines."""

from typing import Annotated

import typer

from dmp.cli.workspace import USE, Dataset, Processes, Seed, Task, Workspace, command
from dmp.errors import DMPError
from dmp.recipes import PAPER

app = typer.Typer()


@command(app, USE, scale="paper")
def download(
    workspace: Workspace,
    dataset: Annotated[
        list[str] | None, typer.Argument(help="Datasets to fetch as well, such as coco.")
    ] = None,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(help="You have accepted this licence of a dataset; may be repeated."),
    ] = None,
) -> None:
    """Fetch a scale's pretrained models, and say what else it needs.

    Exits with 1 if anything is missing.

    A dataset is fetched only if it is named, and if its owners let it be fetched without a person;
    where a licence has to be accepted, the answer says which, and where.
    """
    from dmp.stages.download import download as stage

    needs = stage(workspace.plan, workspace.data, dataset or [], accept_licence or [])
    for need in needs:
        print(f"{need.name}: {need.missing and 'MISSING, '}{need.place}")
        if need.missing:
            print(f"    {need.missing}")
    if any(need.missing for need in needs):
        raise typer.Exit(1)


@command(app)
def check_data(
    workspace: Workspace,
    dataset: Dataset,
    workers: Annotated[
        int, typer.Option(help="Images that are looked at together.", min=1, max=1000)
    ] = 4,
) -> None:
    """Open and hash every image of a dataset, and say what is missing or damaged."""
    from dmp.data.manifest import load_manifest
    from dmp.products.prepared import manifest_product
    from dmp.stages.check_data import Trained
    from dmp.stages.check_data import check_data as stage

    plan, layout, trained = workspace.plan, workspace.layout, None
    config, other = plan.source(dataset), plan.trained_on(dataset)
    if other is not None:
        path = layout.manifest(other)
        trained = Trained.read(load_manifest(path, plan.source(other), other), path)
    stage(config, workspace.data, dataset, layout.manifest(dataset), workers, trained)
    manifest_product(plan, layout, dataset).mark_finished()


@command(app)
def latents(
    workspace: Workspace,
    dataset: Dataset,
    part: Annotated[
        int | None, typer.Option(help="Encode this part alone, from 1.", min=1, max=10**9)
    ] = None,
    of: Annotated[int, typer.Option(help="How many parts.", min=1, max=10**9)] = 1,
) -> None:
    """Encode a part of a dataset's images; without --part, verify that all are there."""
    if part is not None and part > of:
        raise DMPError(f"--part {part} --of {of}: accepted are 1 to the number of parts")
    workspace.plan.encoded(dataset)  # first: a wrong name should not wait for torch
    context = workspace.context("check" if part is None else "latents")
    from dmp.stages.prepare import encode_part, verify_parts

    if part is None:
        verify_parts(context, dataset)
    else:
        encode_part(context, dataset, part, of)


@command(app)
def extractor(
    workspace: Workspace, dataset: Annotated[str, typer.Argument(help="A dataset, such as digits.")]
) -> None:
    """Train the classifier whose features stand where Inception's stand at full scale."""
    from dmp.config import nearest

    known = {task.data.name for task in workspace.plan.scale.tasks.values()}
    if dataset not in known:
        raise DMPError(f"unknown dataset '{dataset}': {nearest(dataset, known)}")
    context = workspace.context("extractor")
    from dmp.stages.prepare import train_extractor

    train_extractor(context, dataset)


@command(app)
def reference(workspace: Workspace, task: Task) -> None:
    """Extract the features of a task's real images."""
    workspace.plan.pretraining(task, 0)  # first: a wrong name should not wait for torch
    context = workspace.context("reference")
    from dmp.stages.prepare import make_reference

    make_reference(context, task)


@command(app)
def captions(workspace: Workspace, task: Task) -> None:
    """Encode the captions of a task that is conditioned on text."""
    workspace.plan.pretraining(task, 0)  # first: a wrong name should not wait for torch
    context = workspace.context("captions")
    from dmp.stages.prepare import encode_captions

    encode_captions(context, task)


@command(app)
def pretrain(
    workspace: Workspace,
    task: Task,
    seed: Seed = 0,
    recipe: Annotated[
        str, typer.Option(help="paper, or decayed: branches off it, to a learning rate of 0.")
    ] = PAPER,
    processes: Processes = None,
) -> None:
    """Train a baseline; `dmp converge` checks that it has converged."""
    from dmp.config import from_data
    from dmp.methods.variant import OriginOptions
    from dmp.running.launch import share_training

    origin = from_data(OriginOptions, {"recipe": recipe}, "--recipe")
    run = workspace.plan.pretraining(task, seed, origin.recipe)
    needed = workspace.plan.scale.execution.resources("pretrain")
    if share_training(needed, run.config.pretraining.batch_size, run.batch_losses, processes):
        return
    context = workspace.context("pretrain")
    from dmp.stages.pretrain import pretrain as stage

    stage(context, task, seed, origin.recipe)


@command(app)
def converge(workspace: Workspace, task: Task, seed: Seed = 0) -> None:
    """Check whether a baseline has converged."""
    workspace.plan.pretraining(task, seed)  # first: a wrong name should not wait for torch
    context = workspace.context("converge")
    from dmp.stages.converge import converge as stage

    stage(context, task, seed)
