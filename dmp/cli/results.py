"""Commands that make tables, figures and verdicts of numbers."""

import functools
from pathlib import Path
from typing import Annotated, get_args

import typer

from dmp.cli.workspace import UPKEEP, USE, Workspace, command
from dmp.errors import DMPError

app = typer.Typer()


@command(app)
def collect(
    workspace: Workspace,
    scope: Annotated[
        list[str],
        typer.Argument(help="Studies, single claims, or: tables, studies, claims, hypotheses."),
    ],
) -> None:
    """Gather the numbers of runs, and the convergence of their baselines, into one table each."""
    from dmp.stages.collect import collect as stage

    for each in scope:
        stage(workspace.plan, workspace.layout, each)


@command(app)
def parameters(workspace: Workspace) -> None:
    """Count the parameters of the paper's models, built at their real size without memory."""
    from dmp.stages.count_parameters import count_parameters

    count_parameters(workspace.plan, workspace.layout)


@command(app)
def pages(
    workspace: Workspace,
    study: Annotated[
        list[str] | None, typer.Argument(help="Files in ablations/studies; all, if left out.")
    ] = None,
) -> None:
    """Estimate, compare and render studies from their numbers: tables and figures."""
    from dmp.stages.pages import write_pages

    write_pages(workspace.plan, workspace.layout, study or [])


@command(app)
def claims(workspace: Workspace) -> None:
    """Judge every claim of the paper: supported, contradicted or inconclusive."""
    from dmp.stages.claims import judge

    judge(workspace.plan, workspace.layout, "claims")


@command(app)
def hypotheses(workspace: Workspace) -> None:
    """Judge the hypotheses of our own, as the claims are judged."""
    from dmp.stages.claims import judge

    judge(workspace.plan, workspace.layout, "hypotheses")


@command(app, USE)
def rebuild(
    workspace: Workspace,
    from_reference: Annotated[
        bool, typer.Option(help="Those in results/reference, from the numbers there; no runs.")
    ] = False,
) -> None:
    """Write all pages and claims anew from their numbers, without asking what has changed."""
    from dmp.stages.rebuild import rebuild as stage
    from dmp.stages.rebuild import rebuild_reference
    from dmp.stages.reference import Reference

    if from_reference:
        reference = Reference(workspace.layout.published)
        print(rebuild_reference(workspace.plan, reference))
    else:
        print(stage(workspace.plan, workspace.layout))


@command(app, UPKEEP)
def publish(
    workspace: Workspace,
    scope: Annotated[
        list[str] | None,
        typer.Argument(
            help="Studies, single claims, or: tables, studies, claims, hypotheses, sweeps; all."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option(help="Start anew, in place of adding to what is published.")
    ] = False,
) -> None:
    """Add results, with every number, to those in results/reference, to commit them."""
    from dmp.stages.publish import publish as stage

    print(stage(workspace.plan, workspace.layout, scope or [], replace, workspace.ablations))


@command(app, USE)
def verify(workspace: Workspace) -> None:
    """Compare this run with the committed reference: to the bit where portable, else statistically.

    Exit status 1 if it differs.
    """
    from dmp.stages.verify import verify_scale

    told, agree = verify_scale(workspace.plan, workspace.layout)
    print(told)
    if not agree:
        raise typer.Exit(1)


@command(app, UPKEEP)
def adopt(workspace: Workspace) -> None:
    """Recognise results that were moved here, and say what no longer is what the files ask for.

    Snakemake does so itself whenever it starts.
    """
    from dmp.products.recognise import recognise, recognise_sweep
    from dmp.sweeps.files import SweepFiles
    from dmp.sweeps.loading import load_sweep, sweep_names
    from dmp.temporaries import remove_left_over

    plan, layout = workspace.plan, workspace.layout
    found = [recognise(plan, layout)]
    if removed := remove_left_over(layout.root):
        print(f"removed {removed} files that killed processes have left half-written")
    for name in sweep_names(workspace.ablations):
        if SweepFiles(layout, name).root.is_dir():
            found.append(recognise_sweep(plan, layout, load_sweep(workspace.ablations, name)))
    current, moved, kept = (
        sum(getattr(each, key) for each in found) for key in ("current", "moved", "kept")
    )
    print(f"{current} results are what is asked for, {moved} of them moved here")
    if kept:
        print(f"of {kept} more that were moved here the times cannot be set")
    for stage, names in sorted(frozenset().union(*(each.outdated for each in found)), key=str):
        print(f"outdated: {stage} {'/'.join(map(str, names))}")


@command(app, USE)
def compare(
    workspace: Workspace,
    run: Annotated[
        list[str], typer.Argument(help="task/variant for all seeds, or task/variant/seed0; two+.")
    ],
) -> None:
    """Compare the first variant with each other one, with the statistics of the tables."""
    from dmp.stages.compare import compare as stage

    print(stage(workspace.plan, workspace.layout, run))


@command(app, USE)
def track(
    workspace: Workspace,
    target: Annotated[str, typer.Argument(help="Whose runs: tables or studies.")] = "tables",
    uri: Annotated[
        str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="Default: SQLite under results/.")
    ] = "",
    optional: Annotated[
        bool, typer.Option(help="Warn in place of failing: results do not wait for a tracker.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option(
            help="Repeat after so many seconds, until all runs have ended.", min=1, max=86400
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write event files there, in place of MLflow.")
    ] = None,
    links: Annotated[
        str, typer.Option(help="Print the links below this address instead, for `make mlflow`.")
    ] = "",
) -> None:
    """Hand all runs to MLflow, those that still train too; repeat it as often as you like."""
    from dmp.stages.track import track as stage
    from dmp.stages.watch import all_ended, write_boards
    from dmp.stages.watch import watch as repeat

    if links:
        from dmp.tracking.views import links as told

        store = uri or f"sqlite:///{workspace.layout.tracking_store.resolve()}"
        print("\n".join(told(store, links.rstrip("/"), workspace.scale)))
        return
    from dmp.config import nearest
    from dmp.studies.schema import Target

    targets = get_args(Target)
    if target not in targets:
        raise DMPError(f"unknown target '{target}': {nearest(target, targets)}")
    given = (workspace.plan, workspace.layout, target)
    if tensorboard is None:
        work = functools.partial(stage, *given, uri, optional=optional)
    else:
        from dmp.tracking.tensorboard import Boards

        work = functools.partial(write_boards, Boards(tensorboard), *given)
    if watch is None:
        print(work())
        return
    for said in repeat(work, functools.partial(all_ended, *given), watch):
        print(said, flush=True)
