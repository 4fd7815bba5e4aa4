# What the rules share: the scale, its plan, and where files lie.
import atexit
import functools
import os
import shlex
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.numerics import check as check_numerics
from dmp.products.recognise import Found, recognise
from dmp.reporting.figures import check_kinds
from dmp.running.launch import training_gpus
from dmp.studies import load_plan
from dmp.studies.loading import scale_names
from dmp.studies.schema import TRAINING

SCALE = str(config.get("scale", "digits"))
RESULTS = Path(config.get("results", "results"))
ABLATIONS = Path(config.get("ablations", "ablations"))

SEEDS = config.get("seeds", os.environ.get("DMP_SEEDS"))

KEYS = ("scale", "results", "ablations", "seeds", "data")
unknown = sorted(set(config) - set(KEYS))
if unknown:
    raise WorkflowError(f"unknown --config key '{unknown[0]}'; accepted: {', '.join(KEYS)}")
# Rules call `dmp` of the environment that snakemake itself is of, activated or not.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
if "data" in config:
    # Where datasets lie is no part of what a job is: moving them reruns nothing.
    os.environ.update(DMP_DATA=str(config["data"]))
if SEEDS is not None:
    if not (str(SEEDS).isdecimal() and int(SEEDS) > 0):
        raise WorkflowError(f"--config seeds={SEEDS}: accepted is a positive whole number")
    # Nor is how many seeds there are: another number of them reruns no baseline and no run.
    os.environ.update(DMP_SEEDS=str(SEEDS))


@functools.cache
def plan(scale):
    try:
        return load_plan(scale, ABLATIONS, None if SEEDS is None else int(SEEDS))
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None


def layout(scale):
    return Layout(RESULTS, scale)


try:
    # Before the first job: they would all end with this error.
    check_numerics(plan(SCALE).scale.numerics, f"scale '{SCALE}'")
    check_kinds(plan(SCALE).studies.values())
except DMPError as error:
    raise WorkflowError(f"error: {error}") from None

# The same files with wildcards, for the outputs of rules.
FILES = layout("{scale}")

# A run's place, with wildcards.
NAMES = ("{task}", "{variant}", "{seed}")


def everywhere(scale):
    folders = f"--results {shlex.quote(str(RESULTS))} --ablations {shlex.quote(str(ABLATIONS))}"
    return f"--scale {scale} {folders}"


def where(wildcards):
    """Options that every call of the command line gets."""
    return everywhere(wildcards.scale)


def threads_of(wildcards):
    return plan(wildcards.scale).scale.execution.threads


@functools.cache
def needed_by(stage, scale, task=None, variant=None):
    """What a job of a stage needs; a training that cannot be shared needs one GPU."""
    needed = plan(scale).scale.execution.resources(stage)
    if stage != "train":
        return needed
    losses = plan(scale).run(task, variant, plan(scale).seeds[0]).batch_losses
    return needed.model_copy(update={"gpus": training_gpus(needed, losses)})


def needs(stage, scale=None):
    """What a job of a stage asks for: GPUs, memory and minutes, by its scale.

    A training that runs out of time goes on in the next try; anything else gets more.
    """

    def asked(key, wildcards, attempt):
        names = (getattr(wildcards, name, None) for name in ("task", "variant"))
        needed = needed_by(stage, scale or wildcards.scale, *names)
        if key == "gpu":
            return needed.gpus
        if key == "gpu_share":
            # Percent of one GPU: what jobs on one machine are counted with.
            return needed.gpu_share * needed.gpus if needed.gpus < 2 else 100 * needed.gpus
        return getattr(needed, key) * (1 if stage in TRAINING else attempt)

    keys = ("gpu", "gpu_share", "mem_mb", "runtime")
    return {key: functools.partial(asked, key) for key in keys}


def extractor_weights(wildcards):
    task = plan(wildcards.scale).scale.tasks[wildcards.task]
    own = task.evaluation.extractor.name == "dataset-classifier"
    return [layout(wildcards.scale).extractor(task.data.name)] if own else []


def captions_of(wildcards):
    text = plan(wildcards.scale).scale.tasks[wildcards.task].conditioning == "text"
    return [layout(wildcards.scale).captions(wildcards.task)] if text else []


def latents_of(wildcards):
    data = plan(wildcards.scale).scale.tasks[wildcards.task].data
    return (
        [] if data.latents is None else [layout(wildcards.scale).latents(data.name) / "index.json"]
    )


def manifests_of(wildcards):
    """What was found of a task's datasets, where they lie on disk."""
    data = plan(wildcards.scale).scale.tasks[wildcards.task].data
    names = [(data.name, data.source), (data.test_name, data.test)]
    return [layout(wildcards.scale).manifest(name) for name, source in names if source is not None]


def latents_parts(wildcards):
    of = plan(wildcards.scale).scale.execution.latents_jobs
    return [
        layout(wildcards.scale).latents_part(wildcards.dataset, n, of) for n in range(1, of + 1)
    ]


def baselines_of(wildcards, seeds):
    p, files = plan(wildcards.scale), layout(wildcards.scale)
    needed = sorted({p.baseline_seed(seed) for seed in seeds})
    return [
        path(wildcards.task, seed)
        for seed in needed
        for path in (files.pretrained_weights, files.pretrained_state)
    ]


def baseline_weights(wildcards):
    return baselines_of(wildcards, [int(wildcards.seed)])


def looked_up():
    """Whether this process plans jobs, and so looks at what is there already."""
    return workflow.is_main_process and not {"--unlock", "--lint"} & set(sys.argv)


@functools.cache
def recognised(scale):
    """What is there of a scale, and what of it is outdated: asked once, before any job is planned."""
    if not looked_up():
        return Found()
    try:
        return told(recognise(plan(scale), layout(scale)), f"scale {scale}")
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None


def told(found, what):
    if found.moved:
        print(f"recognised {found.moved} results of {what} that were moved here", file=sys.stderr)
    if found.kept:
        print(
            f"warning: {found.kept} results of {what} are what they should be, but their times cannot "
            f"be set: they are another user's, or nothing can be written there. Jobs may run again "
            f"that need not",
            file=sys.stderr,
        )
    return found


@functools.cache
def newer_than(moment):
    """A file that is newer than all that was there: input of what has to run again.

    It is this process's own, and not among the results: these need not be writable to be looked at,
    and several that share them do not meet. Its name is new each time, since Snakemake takes a file
    that it has seen with the same content for unchanged.
    """
    # Not in a folder of the system: jobs on other machines wait until they see it.
    folder = Path(".snakemake/outdated").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}-{time.time_ns()}"
    path.touch()
    atexit.register(path.unlink, missing_ok=True)
    later = int(moment * 1e9) + 1_000_000
    os.utime(path, ns=(later, later))
    return path


def outdated(stage, *keys, **known):
    """Input of a job whose output an edit has made obsolete: newer than that, so that it runs again.

    Which product of the stage it is, these wildcards say, or what is known of them.
    """

    def newer(wildcards):
        scale = known.get("scale") or wildcards.scale
        names = (known[key] if key in known else getattr(wildcards, key) for key in keys)
        numbers = ("seed", "shard")
        names = tuple(
            int(name) if key in numbers else name for key, name in zip(keys, names, strict=True)
        )
        return outdated_files(recognised(scale), {(stage, names)})

    return newer


def outdated_files(found, products):
    return [newer_than(found.newest)] if products & found.outdated else []


def outdated_runs(scale, runs):
    """As :func:`outdated`, for a job that does all stages of several runs."""
    stages = ("weights", "samples", "metrics")
    return outdated_files(recognised(scale), {(stage, run) for stage in stages for run in runs})


def outdated_results(scale, stage, names):
    """As :func:`outdated`, for a job that makes several results."""
    return outdated_files(recognised(scale), {(stage, (name,)) for name in names})


def runs_of(wildcards):
    """Runs and convergence that a table of numbers gathers."""
    p, files = plan(wildcards.scale), layout(wildcards.scale)
    return [
        *(files.finished(*run) for run in p.runs(wildcards.scope)),
        *(files.convergence(*baseline) for baseline in p.baselines(wildcards.scope)),
    ]


def scopes_of(scale, target):
    """The tables of numbers that a target needs: of each of its studies, and of all its runs."""
    claims = ["claims"] if target == "tables" and plan(scale).claims else []
    studies = [s for s in plan(scale).targeted(target) if s in plan(scale).studies]
    return [*studies, target, *claims]


def numbers_files(scale, target):
    files = layout(scale)
    tables = (files.results_table, files.baselines_table)
    return [table(scope) for scope in scopes_of(scale, target) for table in tables]


def numbers_of(wildcards):
    files, study = layout(wildcards.scale), wildcards.study
    if study in plan(wildcards.scale).parameter_studies:
        return [files.parameters_table]
    return [files.results_table(study), files.baselines_table(study)]


def artifacts_of(wildcards):
    """What figures draw beside numbers: samples, gates, logs; a run writes all of them at once."""
    p, files, study = plan(wildcards.scale), layout(wildcards.scale), wildcards.study
    if study in p.parameter_studies or not p.study(study).figures:
        return []
    return [files.finished(*run) for run in p.runs(study)]


def page_files(files, study):
    """What a study's page consists of: its tables, and the folder of its figures."""
    suffixes = (".html", ".csv", ".md", ".tex")
    return [*(files.tables / f"{study}{suffix}" for suffix in suffixes), files.figures(study)]


def caption(name):
    return str(Path(workflow.basedir) / "workflow/report" / f"{name}.rst")


def shown_table(path, study):
    """A table that stands in the report."""
    return report(path, caption=caption("table"), category="Tables", labels={"study": study})


def shown_figures(files, study):
    """A folder of figures that stand in the report."""
    return report(
        directory(files.figures(study)),
        patterns=["{figure}.png"],
        caption=caption("figure"),
        category="Figures",
        labels={"study": study, "figure": "{figure}"},
    )


def page_outputs(files, study):
    table, *others, _ = page_files(files, study)
    return [shown_table(table, study), *others, shown_figures(files, study)]


def pages_of(scale, target):
    """The pages of all studies with a target."""
    files = layout(scale)
    return [path for s in plan(scale).targeted(target) for path in page_files(files, s)]


def page_inputs(scale, target):
    """What the pages of all studies with a target are made from."""
    jobs = [SimpleNamespace(scale=scale, study=s) for s in plan(scale).targeted(target)]
    return sorted({p for job in jobs for p in [*numbers_of(job), *artifacts_of(job)]})


def speed_inputs(scale):
    tasks = [SimpleNamespace(scale=scale, task=task) for task in plan(scale).speed_arms()]
    seed = plan(scale).seeds[0]
    return [
        p
        for job in tasks
        for p in [*baselines_of(job, [seed]), *captions_of(job), *latents_of(job)]
    ]


def known_scales():
    return [name for name in scale_names(ABLATIONS) if name in {SCALE, "smoke"}]


def batched(name):
    return plan(name).scale.execution.job == "batch"


def scales_that_run(job):
    # All ways of running a scale make the same files; the scale says which rule is its own.
    return [name for name in known_scales() if plan(name).scale.execution.job == job]


def sampled_by(shards):
    """A wildcard's constraint: scales whose runs are sampled in one job, or in several."""
    names = [
        name
        for name in scales_that_run("stage")
        if (plan(name).scale.execution.sampling_shards > 1) == shards
    ]
    return "|".join(names) or "none"


def shards_of(wildcards):
    files, of = layout(wildcards.scale), plan(wildcards.scale).scale.execution.sampling_shards
    names = (wildcards.task, wildcards.variant, wildcards.seed)
    return [files.shard(*names, number, of) for number in range(1, of + 1)]


# A job of several runs tells Snakemake of no other file of theirs than that they are finished. All
# others would be deleted before it starts again: what it has done already could not stay.
def of_seeds(seeds):
    """What says that these seeds of a variant are finished; the other wildcards stay."""
    return [FILES.finished(*NAMES[:2], seed) for seed in seeds]


# The command of a job that does all stages of several runs; its outputs say of which.
COMPLETE = "exec dmp complete {output:q} {params.where} > {log:q} 2>&1"


def batch_inputs(scale, task):
    job = SimpleNamespace(scale=scale, task=task)
    reference = layout(scale).reference(task)
    needed = baselines_of(job, plan(scale).seeds)
    return [reference, *extractor_weights(job), *captions_of(job), *latents_of(job), *needed]


def batch_outputs(scale, task, variants):
    files, seeds = layout(scale), plan(scale).seeds
    return [files.finished(task, v, seed) for v in variants for seed in seeds]


def tables_of(scale):
    files = layout(scale)
    claims = [] if plan(scale).claims is None else [files.claims]
    return [
        *pages_of(scale, "tables"),
        *claims,
        files.results_table("tables"),
        files.baselines_table("tables"),
        files.tracking_summary("tables"),
    ]


def studies_of(scale):
    return [*pages_of(scale, "studies"), layout(scale).tracking_summary("studies")]


wildcard_constraints:
    scale=r"[\w-]+",
    task=r"[\w-]+",
    variant=r"[\w.,=+-]+",
    seed=r"\d+",
    study=r"[\w-]+",
    scope=r"[\w-]+",
    target=r"tables|studies",
    shard=r"\d+",
    of=r"\d+",
