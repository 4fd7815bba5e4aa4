"""The commands of ``dmp sweep``: what the workflow calls, and what a person calls without it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from dmp.options import (
    ABLATIONS,
    DATA,
    RESULTS,
    SCALE,
    Ablations,
    Data,
    Results,
    Scale,
    open_context,
    open_plan,
)

if TYPE_CHECKING:
    import optuna

    from dmp.products.sweeps import SweepProducts
    from dmp.studies import Plan
    from dmp.sweeps.files import SweepFiles
    from dmp.sweeps.schema import Sweep
    from dmp.sweeps.space import Space
    from dmp.sweeps.worker import Search

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


class _Place(NamedTuple):
    """A sweep at a scale."""

    plan: "Plan"
    sweep: "Sweep"
    space: "Space"
    files: "SweepFiles"
    name: str

    @property
    def products(self) -> "SweepProducts":
        from dmp.products.sweeps import SweepProducts

        return SweepProducts(self.plan, self.files.layout, self.sweep)

    def search(self, storage: str) -> "Search":
        from dmp.sweeps.storage import open_storage
        from dmp.sweeps.worker import Search

        opened = open_storage(self.files.journal, storage)
        return Search(self.sweep, self.space, self.files, opened, self.name)

    def study(self, storage: str) -> "optuna.Study":
        from dmp.sweeps.storage import load_study, open_storage

        return load_study(open_storage(self.files.journal, storage), self.name)


def _place(name: str, scale: str, results: Path, ablations: Path) -> _Place:
    # First: what is imported below imports NumPy.
    plan = open_plan(scale, ablations)
    from dmp.layout import Layout
    from dmp.sweeps.files import SweepFiles
    from dmp.sweeps.loading import load_space, load_sweep, study_name

    sweep = load_sweep(ablations, name)
    space = load_space(ablations, sweep, plan)
    files = SweepFiles(Layout(results, scale), name)
    return _Place(plan, sweep, space, files, study_name(sweep, plan))


def _quiet() -> None:
    """Let Optuna warn, and leave it to us to say what happens."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


@app.command()
def check(scale: Scale = SCALE, ablations: Ablations = ABLATIONS) -> None:
    """Read every sweep, check every condition and combination, and say what a scale lacks."""
    # First: what is imported below imports NumPy.
    plan = open_plan(scale, ablations)
    from dmp.sweeps.loading import load_space, load_sweep, sweep_names

    for name in sweep_names(ablations):
        sweep = load_sweep(ablations, name)
        space = load_space(ablations, sweep, plan)
        varied = ", ".join(parameter.name for parameter in sweep.parameters)
        print(f"{name}: {sweep.trials} trials over {varied}")
        for left_out in space.left_out:
            print(f"{name}: left out at scale '{scale}': {left_out}")


@app.command()
def work(
    name: Name,
    worker: Annotated[int, typer.Option(help="Its number.", min=0)] = 0,
    storage: Storage = "",
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    data: Data = DATA,
) -> None:
    """Run trials until none is left; any number of workers share a sweep."""
    place = _place(name, scale, results, ablations)
    _quiet()
    search = place.search(storage)
    context = open_context(place.plan, results, "run", data)
    from dmp.files import write_json
    from dmp.stages.sweep import make_objective

    ended = search.work(make_objective(context, place.sweep))
    print(f"sweep {name}: {ended} of {place.sweep.trials} trials have ended")
    summary = {"study": place.name, "ended": ended, "worker": worker}
    write_json(place.files.worker_summary(worker), summary)
    place.products.worker(worker).mark_finished()


@app.command()
def confirm(
    name: Name,
    point: Annotated[
        list[int] | None,
        typer.Option(help="Ranks from 1 on, 0 for the base; all if left out.", min=0),
    ] = None,
    storage: Storage = "",
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    data: Data = DATA,
) -> None:
    """Run the best points, and the base, with seeds that the search has not seen."""
    place = _place(name, scale, results, ablations)
    _quiet()
    from dmp.sweeps.trials import point_variant

    study = place.study(storage)
    points = point or range(place.sweep.confirmation.points + 1)
    variants = {each: point_variant(place.sweep, study, each) for each in points}
    context = open_context(place.plan, results, "run", data)
    from dmp.stages.sweep import confirm_variant

    for each, variant in variants.items():
        confirm_variant(context, place.sweep, variant, each)
        place.products.confirmation(each).mark_finished()


@app.command()
def report(
    name: Name,
    storage: Storage = "",
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
) -> None:
    """Write a finished sweep's table, best points and plots."""
    place = _place(name, scale, results, ablations)
    _quiet()
    from dmp.sweeps.report import write_report

    write_report(place.plan, place.sweep, place.files, place.study(storage))
    place.products.page().mark_finished()
