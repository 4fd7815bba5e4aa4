"""The commands of ``dmp sweep``: what the workflow calls, and what a person calls without it."""

from typing import TYPE_CHECKING, Annotated

import typer

from dmp.cli.workspace import Workspace, command

if TYPE_CHECKING:
    import optuna

    from dmp.products.sweeps import SweepProducts
    from dmp.sweeps.files import SweepFiles
    from dmp.sweeps.schema import Sweep
    from dmp.sweeps.space import Space

app = typer.Typer(help="Search over the method's options.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A file in ablations/sweeps, without .yaml.")]
Storage = Annotated[
    str,
    typer.Option(
        envvar="DMP_SWEEP_STORAGE",
        show_default=False,
        help="URL of a database that all workers reach; default: a journal beside the results.",
    ),
]


def _open(
    workspace: Workspace, name: str, storage: str
) -> "tuple[Sweep, Space, SweepFiles, SweepProducts, str, optuna.storages.BaseStorage]":
    """Return a sweep at a scale, with the name of its study and where its trials are."""
    import optuna

    from dmp.products.sweeps import SweepProducts
    from dmp.sweeps.files import SweepFiles
    from dmp.sweeps.loading import load_space, load_sweep, study_name
    from dmp.sweeps.storage import open_storage

    # Optuna warns; we say ourselves what else happens.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep = load_sweep(workspace.ablations, name)
    space = load_space(workspace.ablations, sweep, workspace.plan)
    files = SweepFiles(workspace.layout, sweep.id)
    products = SweepProducts(workspace.plan, workspace.layout, sweep)
    opened = open_storage(files.journal, storage)
    return sweep, space, files, products, study_name(sweep, workspace.plan), opened


@command(app, None)
def check(workspace: Workspace) -> None:
    """Read every sweep, check every condition and combination, and say what a scale lacks."""
    from dmp.sweeps.loading import load_space, load_sweep, sweep_names

    for name in sweep_names(workspace.ablations):
        sweep = load_sweep(workspace.ablations, name)
        space = load_space(workspace.ablations, sweep, workspace.plan)
        varied = ", ".join(parameter.name for parameter in sweep.parameters)
        print(f"{name}: {sweep.trials} trials over {varied}")
        for left_out in space.left_out:
            print(f"{name}: left out at scale '{workspace.scale}': {left_out}")


@command(app, None)
def work(
    workspace: Workspace,
    name: Name,
    worker: Annotated[int, typer.Option(help="Its number.", min=0, max=1000)] = 0,
    storage: Storage = "",
) -> None:
    """Run trials until none is left; any number of workers share a sweep."""
    sweep, space, files, products, study_name, opened = _open(workspace, name, storage)
    from dmp.sweeps.worker import Search

    search = Search(sweep, space, files, opened, study_name)
    context = workspace.context("run")
    from dmp.files import write_json
    from dmp.stages.sweep import make_objective
    from dmp.sweeps.storage import told_apart

    with told_apart():
        ended = search.work(make_objective(context, sweep))
    print(f"sweep {name}: {ended} of {sweep.trials} trials have ended")
    summary = {"study": study_name, "ended": ended, "worker": worker}
    write_json(files.worker_summary(worker), summary)
    products.worker(worker).mark_finished()


@command(app, None)
def confirm(
    workspace: Workspace,
    name: Name,
    point: Annotated[
        list[int] | None,
        typer.Option(help="Ranks from 1 on, 0 for the base; all if left out.", min=0, max=1000),
    ] = None,
    storage: Storage = "",
) -> None:
    """Run the best points, and the base, with seeds that the search has not seen."""
    sweep, _, _, products, study_name, opened = _open(workspace, name, storage)
    from dmp.sweeps.storage import load_study, told_apart
    from dmp.sweeps.trials import point_variant

    points = point or range(sweep.confirmation.points + 1)
    with told_apart():
        study = load_study(opened, study_name)
        variants = {each: point_variant(sweep, study, each) for each in points}
    context = workspace.context("run")
    from dmp.stages.sweep import confirm_variant

    for each, variant in variants.items():
        confirm_variant(context, sweep, variant, each)
        products.confirmation(each).mark_finished()


@command(app, None)
def report(workspace: Workspace, name: Name, storage: Storage = "") -> None:
    """Write a finished sweep's table, best points and plots."""
    sweep, _, files, products, study_name, opened = _open(workspace, name, storage)
    from dmp.sweeps.report import write_report
    from dmp.sweeps.storage import load_study, told_apart

    with told_apart():
        write_report(workspace.plan, sweep, files, load_study(opened, study_name))
    products.page().mark_finished()
