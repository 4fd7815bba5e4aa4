"""The command line: what the workflow's rules call, and what a person calls without Snakemake.

Every command imports what it needs when it runs, so that ``dmp --help`` answers at once and nothing
but the computing stages pays for torch.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmp import cli_sweep
from dmp.errors import DMPError
from dmp.options import (
    ABLATIONS,
    DATA,
    RESULTS,
    SCALE,
    Ablations,
    Data,
    Processes,
    Results,
    Scale,
    Seed,
    Seeds,
    Task,
    Variant,
    open_context,
    open_plan,
)

if TYPE_CHECKING:
    from dmp.layout import Layout
    from dmp.studies import Plan
    from dmp.studies.run import RunConfig

app = typer.Typer(
    name="dmp",
    help="Reproducibility benchmark for Diffusion Model Patching via Mixture-of-Prompts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _shared(plan: "Plan", stage: str, run: "RunConfig", processes: int | None) -> bool:
    """Return whether several processes have done a training, rather than this one."""
    from dmp.running.launch import share_training

    config = run.config.pretraining if stage == "pretrain" else run.config.training
    needed = plan.scale.execution.resources(stage)
    return share_training(needed, config.batch_size, run.batch_losses, processes)


def _complete_runs(plan: "Plan", runs: list["RunConfig"], results: Path, data: Path) -> None:
    """Do all stages of runs, in one process."""
    context = open_context(plan, results, "run", data)
    from dmp.stages.run import complete_run

    for run in runs:
        complete_run(context, run)


def _layout(scale: str, results: Path) -> "Layout":
    from dmp.layout import Layout

    return Layout(results, scale)


@app.command()
def check(scale: Scale = SCALE, ablations: Ablations = ABLATIONS, seeds: Seeds = None) -> None:
    """Read a scale and all studies, check every cell, and say what would run."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.reporting.figures.registry import check_figures

    for study in plan.studies.values():
        check_figures(study)
    for name, study in plan.studies.items():
        print(f"{name}: {len(study.cells)} cells, {len(plan.runs(name))} runs")
    print(f"{len(plan.runs())} unique runs on {len(plan.baselines())} baselines at scale {scale}")


@app.command()
def plan(
    gpu: Annotated[str, typer.Option(help="A kind of GPU in ablations/throughput/gpus.yaml.")],
    gpus: Annotated[int, typer.Option(help="How many there are.", min=1)] = 1,
    budget: Annotated[float | None, typer.Option(help="GPU-hours that may be spent.")] = None,
    compiled: Annotated[bool, typer.Option(help="Count with compiled backbones.")] = False,
    scale: Scale = "paper",
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Say what a scale costs, table by table: runs, GPU-hours, disk, wall time."""
    loaded = open_plan(scale, ablations, seeds)
    from dmp.planning.report import plan_scale

    print(
        plan_scale(
            loaded,
            gpu,
            gpus,
            budget,
            ablations / "throughput",
            compiled=compiled,
            csv=_layout(scale, results).root / "plan.csv",
        )
    )


@app.command()
def throughput(
    gpu: Annotated[str, typer.Option(help="The kind in gpus.yaml; CPU on a CPU.")] = "CPU",
    task: Annotated[list[str] | None, typer.Option(help="Of which tasks; all if left out.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of training.", min=1)] = None,
    compiled: Annotated[bool, typer.Option(help="With torch.compile.")] = False,
    note: Annotated[str, typer.Option(help="For readers of the file.")] = "",
    scale: Scale = "paper",
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Measure how fast a scale's backbones train and sample here, for `dmp plan`."""
    context = open_context(open_plan(scale, ablations, seeds), results, "speed", data)
    from dmp.stages.throughput import measure_throughput

    folder = ablations / "throughput"
    print(
        measure_throughput(
            context, gpu, task, batch_size=batch_size, compiled=compiled, note=note, folder=folder
        )
    )


@app.command()
def download(
    dataset: Annotated[
        list[str] | None, typer.Argument(help="Datasets to fetch as well, such as coco.")
    ] = None,
    accept_licence: Annotated[
        list[str] | None,
        typer.Option(help="You have accepted this licence of a dataset; may be repeated."),
    ] = None,
    scale: Scale = "paper",
    ablations: Ablations = ABLATIONS,
    data: Data = DATA,
) -> None:
    """Fetch a scale's pretrained models, and say what else it needs; exit status 1 if it lacks.

    A dataset is fetched only if it is named, and if its owners let it be fetched without a person;
    where a licence has to be accepted, the answer says which, and where.
    """
    plan = open_plan(scale, ablations, None)
    from dmp.stages.download import download as stage

    needs = stage(plan, data, dataset or [], accept_licence or [])
    for need in needs:
        print(f"{need.name}: {need.missing and 'MISSING, '}{need.place}")
        if need.missing:
            print(f"    {need.missing}")
    if any(need.missing for need in needs):
        raise typer.Exit(1)


@app.command()
def check_data(
    dataset: Annotated[str, typer.Argument(help="A dataset on disk, such as ffhq.")],
    workers: Annotated[int, typer.Option(help="Images that are looked at together.", min=1)] = 4,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Open and hash every image of a dataset, and say what is missing or damaged."""
    plan = open_plan(scale, ablations, seeds)
    config = plan.source(dataset)
    from dmp.products.prepared import manifest_product
    from dmp.stages.check_data import check_data as stage

    layout = _layout(scale, results)
    stage(config, data, dataset, layout.manifest(dataset), workers)
    manifest_product(plan, layout, dataset).mark_finished()


@app.command()
def latents(
    dataset: Annotated[str, typer.Argument(help="A dataset on disk, such as ffhq.")],
    part: Annotated[int | None, typer.Option(help="Encode this part alone, from 1.", min=1)] = None,
    of: Annotated[int, typer.Option(help="How many parts.", min=1)] = 1,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Encode a part of a dataset's images; without --part, verify that all are there."""
    if part is not None and part > of:
        raise DMPError(f"--part {part} --of {of}: accepted are 1 to the number of parts")
    plan = open_plan(scale, ablations, seeds)
    plan.encoded(dataset)  # first: a wrong name should not wait for torch
    context = open_context(plan, results, "check" if part is None else "latents", data)
    from dmp.stages.prepare import encode_part, verify_parts

    if part is None:
        verify_parts(context, dataset)
    else:
        encode_part(context, dataset, part, of)


@app.command()
def extractor(
    dataset: Annotated[str, typer.Argument(help="A dataset, such as digits.")],
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Train the classifier whose features stand where Inception's stand at full scale."""
    context = open_context(open_plan(scale, ablations, seeds), results, "extractor", data)
    from dmp.stages.prepare import train_extractor

    train_extractor(context, dataset)


@app.command()
def reference(
    task: Task,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Extract the features of a task's real images."""
    context = open_context(open_plan(scale, ablations, seeds), results, "reference", data)
    from dmp.stages.prepare import make_reference

    make_reference(context, task)


@app.command()
def captions(
    task: Task,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Encode the captions of a task that is conditioned on text."""
    context = open_context(open_plan(scale, ablations, seeds), results, "captions", data)
    from dmp.stages.prepare import encode_captions

    encode_captions(context, task)


@app.command()
def pretrain(
    task: Task,
    seed: Seed = 0,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
    processes: Processes = None,
) -> None:
    """Train a baseline; `dmp converge` checks that it has converged."""
    plan = open_plan(scale, ablations, seeds)
    if _shared(plan, "pretrain", plan.pretraining(task, seed), processes):
        return
    context = open_context(plan, results, "pretrain", data)
    from dmp.stages.pretrain import pretrain as stage

    stage(context, task, seed)


@app.command()
def converge(
    task: Task,
    seed: Seed = 0,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Check whether a baseline has converged."""
    plan = open_plan(scale, ablations, seeds)
    plan.pretraining(task, seed)  # first: a wrong name should not wait for torch
    context = open_context(plan, results, "converge", data)
    from dmp.stages.converge import converge as stage

    stage(context, task, seed)


@app.command()
def run(
    task: Task,
    variant: Annotated[
        list[str], typer.Argument(help="method,key=value,... such as dmp,depth=1; several at once.")
    ],
    seed: Annotated[
        list[int], typer.Option(help="May be given several times.", min=0, show_default="0")
    ] = [0],  # noqa: B006  typer copies it
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Train, sample and evaluate variants, for one seed or several, in one process."""
    plan = open_plan(scale, ablations, seeds)
    resolved = [plan.run(task, name, each) for name in variant for each in seed]
    _complete_runs(plan, resolved, results, data)


@app.command()
def complete(
    finished: Annotated[
        list[Path], typer.Argument(help="The files named finished of the runs, several at once.")
    ],
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Do all stages of the runs that these files will stand for: one job of the workflow."""
    plan = open_plan(scale, ablations, seeds)
    layout = _layout(scale, results)
    resolved = [plan.run(*layout.run_of(path)) for path in finished]
    _complete_runs(plan, resolved, results, data)


@app.command()
def train(
    task: Task,
    variant: Variant,
    seed: Seed = 0,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
    processes: Processes = None,
) -> None:
    """Train one run, without sampling."""
    plan = open_plan(scale, ablations, seeds)
    resolved = plan.run(task, variant, seed)  # first: a wrong name should not wait for torch
    if _shared(plan, "train", resolved, processes):
        return
    context = open_context(plan, results, "train", data)
    from dmp.stages.data import task_data
    from dmp.stages.run import train_run

    train_run(context, resolved, task_data(context, task, resolved.config))


@app.command()
def sample(
    task: Task,
    variant: Variant,
    seed: Seed = 0,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
    shard: Annotated[int | None, typer.Option(help="Draw this part alone, from 1.", min=1)] = None,
    of: Annotated[int | None, typer.Option(help="How many parts.", min=1)] = None,
    join: Annotated[bool, typer.Option(help="Join the parts; as many as the scale says.")] = False,
) -> None:
    """Sample a trained run, and keep images and features; or a part of them, or join the parts."""
    if shard is not None and (of is None or shard > of):
        raise DMPError(f"--shard {shard} --of {of}: accepted are 1 to the number of parts")
    plan = open_plan(scale, ablations, seeds)
    resolved = plan.run(task, variant, seed)  # first: a wrong name should not wait for torch
    context = open_context(plan, results, "merge" if join else "sample", data)
    from dmp.sampling.shards import Shard
    from dmp.stages.data import task_data
    from dmp.stages.sample import join_shards, sample_run

    if join:
        join_shards(context, resolved, of or plan.scale.execution.sampling_shards)
        return
    part = None if shard is None else Shard(shard, of)
    sample_run(context, resolved, task_data(context, task, resolved.config), part)


@app.command()
def evaluate(
    task: Task,
    variant: Variant,
    seed: Seed = 0,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Compute the metrics of a sampled run."""
    plan = open_plan(scale, ablations, seeds)
    resolved = plan.run(task, variant, seed)  # first: a wrong name should not wait for torch
    context = open_context(plan, results, "evaluate", data)
    from dmp.stages.data import task_data
    from dmp.stages.evaluate import evaluate_run

    evaluate_run(context, resolved, task_data(context, task, resolved.config))


@app.command()
def collect(
    scope: Annotated[list[str], typer.Argument(help="Studies, or: tables, studies, claims.")],
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Gather the numbers of runs, and the convergence of their baselines, into one table each."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.collect import collect as stage

    for each in scope:
        stage(plan, _layout(scale, results), each)


@app.command()
def parameters(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Count the parameters of the paper's models, built at their real size without memory."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.count_parameters import count_parameters

    count_parameters(plan, _layout(scale, results))


@app.command()
def speed(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    data: Data = DATA,
) -> None:
    """Time training and sampling of the methods whose speed is claimed to be alike."""
    context = open_context(open_plan(scale, ablations, seeds), results, "speed", data)
    from dmp.stages.speed import measure_speed

    measure_speed(context)


@app.command()
def pages(
    study: Annotated[
        list[str] | None, typer.Argument(help="Files in ablations/studies; all, if left out.")
    ] = None,
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Estimate, compare and render studies from their numbers: tables and figures."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.pages import write_pages

    write_pages(plan, _layout(scale, results), study or [])


@app.command()
def claims(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Judge every claim of the paper: supported, contradicted or inconclusive."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.claims import judge_claims

    judge_claims(plan, _layout(scale, results))


@app.command()
def rebuild(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Write all pages and claims anew from their numbers, without asking what has changed."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.rebuild import rebuild as stage

    stage(plan, _layout(scale, results))


@app.command()
def publish(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Copy a finished scale's results, and every number, to results/reference, to commit them."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.publish import publish as stage

    print(stage(plan, _layout(scale, results)))


@app.command()
def verify(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Compare this run with the committed reference: to the bit where portable, else statistically.

    Exit status 1 if it differs.
    """
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.verify import verify_scale

    told, agree = verify_scale(plan, _layout(scale, results))
    print(told)
    if not agree:
        raise typer.Exit(1)


@app.command()
def adopt(
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Recognise results that were moved here, and say what no longer is what the files ask for.

    Snakemake does so itself whenever it starts.
    """
    plan = open_plan(scale, ablations, seeds)
    from dmp.products.recognise import recognise, recognise_sweep
    from dmp.sweeps.files import SweepFiles
    from dmp.sweeps.loading import load_sweep, sweep_names

    layout = _layout(scale, results)
    found = [recognise(plan, layout)]
    for name in sweep_names(ablations):
        if SweepFiles(layout, name).root.is_dir():
            found.append(recognise_sweep(plan, layout, load_sweep(ablations, name)))
    current, moved, kept = (
        sum(getattr(each, key) for each in found) for key in ("current", "moved", "kept")
    )
    print(f"{current} results are what is asked for, {moved} of them moved here")
    if kept:
        print(f"of {kept} more that were moved here the times cannot be set")
    for stage, names in sorted(set().union(*(each.outdated for each in found)), key=str):
        print(f"outdated: {stage} {'/'.join(map(str, names))}")


@app.command()
def compare(
    run: Annotated[
        list[str], typer.Argument(help="task/variant for all seeds, or task/variant/seed0; two+.")
    ],
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
) -> None:
    """Compare the first variant with each other one, with the statistics of the tables."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.compare import compare as stage

    print(stage(plan, _layout(scale, results), run))


@app.command()
def track(
    target: Annotated[str, typer.Argument(help="Whose runs: tables or studies.")] = "tables",
    scale: Scale = SCALE,
    results: Results = RESULTS,
    ablations: Ablations = ABLATIONS,
    seeds: Seeds = None,
    uri: Annotated[
        str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="Default: SQLite under results/.")
    ] = "",
) -> None:
    """Hand all runs to MLflow; repeat it as often as you like."""
    plan = open_plan(scale, ablations, seeds)
    from dmp.stages.track import track as stage

    print(stage(plan, _layout(scale, results), target, uri))


app.add_typer(cli_sweep.app, name="sweep")


def main() -> None:
    """Run the command line; a :class:`DMPError` is one line and its exit status, mostly 2."""
    try:
        app()
    except DMPError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
