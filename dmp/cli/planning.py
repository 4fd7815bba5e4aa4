"""Commands that say what would run and what it costs."""

from typing import Annotated

import typer

from dmp.cli.workspace import UPKEEP, USE, Workspace, command

app = typer.Typer()


@command(app, USE)
def check(workspace: Workspace) -> None:
    """Read a scale and all studies, check every cell, and say what would run."""
    from dmp.reporting.figures.registry import check_figures

    plan = workspace.plan
    for study in plan.studies.values():
        check_figures(study)
    for name, study in plan.studies.items():
        print(f"{name}: {len(study.cells)} cells, {len(plan.runs(name))} runs")
    runs, baselines = len(plan.runs()), len(plan.baselines())
    print(f"{runs} unique runs on {baselines} baselines at scale {workspace.scale}")


@command(app, USE, scale="paper")
def plan(
    workspace: Workspace,
    gpu: Annotated[str, typer.Option(help="A kind of GPU in ablations/throughput/gpus.yaml.")],
    gpus: Annotated[int, typer.Option(help="How many there are.", min=1, max=100_000)] = 1,
    budget: Annotated[
        float | None, typer.Option(help="GPU-hours that may be spent.", min=0, max=1e12)
    ] = None,
    compiled: Annotated[bool, typer.Option(help="Count with compiled backbones.")] = False,
) -> None:
    """Say what a scale costs, table by table: runs, GPU-hours, disk, wall time."""
    from dmp.planning.report import plan_scale

    print(
        plan_scale(
            workspace.plan,
            gpu,
            gpus,
            budget,
            workspace.ablations / "throughput",
            compiled=compiled,
            csv=workspace.layout.root / "plan.csv",
        )
    )


@command(app, UPKEEP, scale="paper")
def throughput(
    workspace: Workspace,
    gpu: Annotated[str, typer.Option(help="The kind in gpus.yaml; CPU on a CPU.")] = "CPU",
    task: Annotated[list[str] | None, typer.Option(help="Of which tasks; all if left out.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of training.", min=1, max=10**6)] = None,
    compiled: Annotated[bool, typer.Option(help="With torch.compile.")] = False,
    note: Annotated[str, typer.Option(help="For readers of the file.")] = "",
) -> None:
    """Measure how fast a scale's backbones train and sample here, for `dmp plan`."""
    context = workspace.context("speed")
    from dmp.stages.throughput import measure_throughput

    folder = workspace.ablations / "throughput"
    print(
        measure_throughput(
            context, gpu, task, batch_size=batch_size, compiled=compiled, note=note, folder=folder
        )
    )
