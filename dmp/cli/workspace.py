"""What all commands share: their options, and how a process gets ready to compute."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dmp.stages.common import Context
    from dmp.studies import Plan

# That of dmp.config.numbers, whose import takes a while.
LARGEST_SEED = 2**32 - 1
Task = Annotated[str, typer.Argument(help="A task of the scale, such as unconditional.")]
Variant = Annotated[str, typer.Argument(help="method,key=value,... such as dmp,depth=1.")]
Seed = Annotated[
    int, typer.Option(help="Decides data order, noise and initial gate.", min=0, max=LARGEST_SEED)
]
Dataset = Annotated[str, typer.Argument(help="A dataset on disk, such as ffhq.")]
Processes = Annotated[
    int | None,
    typer.Option(
        help="Processes that share each batch; one per GPU, if left out.", min=1, max=1000
    ),
]

# The panels of `dmp --help`.
USE, STAGES, UPKEEP = "Use", "Stages, which the workflow calls", "Maintenance"


@dataclass
class Workspace:
    """Where a command works: a scale and its plan, and the folders of inputs and outputs.

    Its fields are the options that all commands share.
    """

    scale: Annotated[str, typer.Option(help="A file in ablations/scales, without .yaml.")] = (
        "digits"
    )
    results: Annotated[Path, typer.Option(help="Folder for all outputs.")] = Path("results")
    ablations: Annotated[Path, typer.Option(help="Folder with scales/, studies/ and sweeps/.")] = (
        Path("ablations")
    )
    seeds: Annotated[
        int | None,
        typer.Option(
            envvar="DMP_SEEDS",
            help="How many seeds, in place of the scale's own number.",
            min=1,
            max=1000,
        ),
    ] = None
    data: Annotated[
        Path, typer.Option(envvar="DMP_DATA", help="Folder of all datasets that are not embedded.")
    ] = Path("data")

    def __post_init__(self) -> None:
        """Settle the numerics that the scale asks for, and read the scale and its studies.

        The first comes before anything that computes is imported.

        Raises:
            DMPError: as :func:`dmp.studies.load_plan`, :func:`dmp.reporting.figures.check_figures`
                and :func:`dmp.numerics.settle`.
        """
        from dmp.layout import Layout, usable_folder
        from dmp.numerics import settle
        from dmp.reporting.figures import check_figures
        from dmp.studies import load_plan
        from dmp.studies.loading import scale_numerics

        for name in ("results", "ablations", "data"):
            setattr(self, name, usable_folder(getattr(self, name), f"--{name}"))
        settle(scale_numerics(self.ablations, self.scale), f"scale '{self.scale}'")
        self.plan: Plan = load_plan(self.scale, self.ablations, self.seeds)
        for study in self.plan.studies.values():
            check_figures(study, options=False)
        self.layout: Layout = Layout(self.results, self.scale)

    def context(self, stage: str) -> "Context":
        """Prepare this process, once it holds the GPU that a stage needs.

        Raises:
            DMPError: the stage needs a GPU, and there is none.
        """
        from dmp.running.lease import check_device, hold_gpus
        from dmp.studies.execution import TRAINING

        needed = self.plan.scale.execution.resources(stage)
        gpus = needed.gpus or 0
        if stage not in TRAINING:  # these hold theirs already, since their processes share it
            hold_gpus(gpus, needed.gpu_share or 100)
        from dmp.stages.common import Context

        context = Context.open(self.plan, self.results, self.data)
        check_device(gpus, context.device)
        return context


def command(
    app: typer.Typer, panel: str | None = STAGES, scale: str = Workspace.scale
) -> Callable[..., Callable[..., None]]:
    """Return a decorator that makes a command of a function; its first argument is the workspace.

    ``scale`` is the default of ``--scale``.
    """
    shared = [
        parameter.replace(default=scale if name == "scale" else parameter.default)
        for name, parameter in inspect.signature(Workspace).parameters.items()
    ]

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function).parameters.values()

        @functools.wraps(function)
        def called(**given: Any) -> None:
            workspace = Workspace(**{each.name: given.pop(each.name) for each in shared})
            function(workspace, **given)

        # What typer reads.
        signature = inspect.Signature([*own, *shared])
        called.__signature__ = signature  # ty: ignore[missing-attribute]  a function may have one
        called.__annotations__ = {each.name: each.annotation for each in (*own, *shared)}
        app.command(rich_help_panel=panel)(called)
        return function

    return register
