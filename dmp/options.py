"""What commands share: their options, and how a process that computes gets ready."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dmp.stages.common import Context
    from dmp.studies import Plan

Scale = Annotated[str, typer.Option(help="A file in ablations/scales, without .yaml.")]
Results = Annotated[Path, typer.Option(help="Folder for all outputs.")]
Ablations = Annotated[Path, typer.Option(help="Folder with scales/, studies/ and sweeps/.")]
Data = Annotated[
    Path, typer.Option(envvar="DMP_DATA", help="Folder of all datasets that are not embedded.")
]
Task = Annotated[str, typer.Argument(help="A task of the scale, such as unconditional.")]
Variant = Annotated[str, typer.Argument(help="method,key=value,... such as dmp,depth=1.")]
Seed = Annotated[int, typer.Option(help="Decides data order, noise and initial gate.", min=0)]
Seeds = Annotated[
    int | None,
    typer.Option(
        envvar="DMP_SEEDS", help="How many seeds, in place of the scale's own number.", min=1
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(help="Processes that share each batch; one per GPU, if left out.", min=1),
]

SCALE, RESULTS, ABLATIONS, DATA = "digits", Path("results"), Path("ablations"), Path("data")


def open_plan(scale: str, ablations: Path, seeds: int | None = None) -> "Plan":
    """Read a scale and its studies, and settle the numerics that it asks for.

    Every command begins with this, before anything that computes is imported.

    Raises:
        DMPError: as :func:`dmp.studies.load_plan`, :func:`dmp.reporting.figures.check_kinds` and
            :func:`dmp.numerics.settle`.

    """
    from dmp.numerics import settle
    from dmp.reporting.figures import check_kinds
    from dmp.studies import load_plan

    plan = load_plan(scale, ablations, seeds)
    check_kinds(plan.studies.values())
    settle(plan.scale.numerics, f"scale '{scale}'")
    return plan


def open_context(plan: "Plan", results: Path, stage: str, data: Path) -> "Context":
    """Prepare this process, once it holds the GPU that the stage needs.

    Raises:
        DMPError: the stage needs a GPU, and there is none.

    """
    from dmp.running.lease import check_device, hold_gpus
    from dmp.studies.schema import TRAINING

    needed = plan.scale.execution.resources(stage)
    if stage not in TRAINING:  # these hold theirs already, since their processes share it
        hold_gpus(needed.gpus, needed.gpu_share)
    from dmp.stages.common import Context

    context = Context.open(plan, results, data)
    check_device(needed.gpus, context.device)
    return context
