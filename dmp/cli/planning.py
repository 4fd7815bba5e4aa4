"""Commands that say what would run and what it costs."""

import os
from typing import Annotated

import typer

from dmp.cli.workspace import UPKEEP, USE, Workspace, command
from dmp.errors import DMPError

app = typer.Typer()


@command(app, USE)
def check(workspace: Workspace) -> None:
    """Read a scale and all studies, check every cell, and say what would run."""
    from dmp.reporting.figures import check_figures

    plan = workspace.plan
    for study in plan.studies.values():
        check_figures(study)
    for name, study in plan.studies.items():
        print(f"{name}: {len(study.cells)} cells, {len(plan.runs(name))} runs")
    for reason in dict.fromkeys(plan.left_out.values()):
        names = [name for name, why in plan.left_out.items() if why == reason]
        print(f"not run at this scale: {', '.join(names)} ({reason})")
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
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compiled/--not-compiled",
            help="Count with compiled backbones, or not; as the scale says, if left out.",
        ),
    ] = None,
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
def gpu_check(
    workspace: Workspace,
    toy: Annotated[bool, typer.Option(help="At toy sizes, on a CPU too.")] = False,
    budget: Annotated[
        float, typer.Option(help="Minutes; fewer minutes mean fewer repetitions.", min=1, max=600)
    ] = 8,
    task: Annotated[
        list[str] | None,
        typer.Option(help="Whose backbones; the smallest and the largest, if left out."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of training.", min=1, max=10**6)] = None,
    note: Annotated[str, typer.Option(help="For readers of the throughput file.")] = "",
) -> None:
    """Check and measure what is computed on this machine's GPU; `dmp plan` reads how fast it is."""
    from dmp.running.lease import VISIBLE, hold_gpus, usable_gpus

    if usable_gpus(os.environ):
        hold_gpus(1, 100)
    elif toy:
        os.environ[VISIBLE] = ""
    else:
        raise DMPError(
            "there is no GPU here that this process may use; gpu-check --toy makes the same checks "
            "at toy sizes on the CPU, but its timings are meaningless"
        )
    from dmp.stages.gpu_check import gpu_check

    gpu_check(
        workspace.plan.scale,
        workspace.ablations / "throughput",
        workspace.layout.gpu_check,
        tasks=task,
        batch_size=batch_size,
        budget=budget,
        toy=toy,
        note=note,
    )
