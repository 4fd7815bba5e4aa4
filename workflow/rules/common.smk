# What the rules share: the scale, its plan, and where files lie.
import functools
from pathlib import Path

from snakemake.exceptions import WorkflowError

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.studies import load_plan
from dmp.studies.loading import scale_names

SCALE = str(config.get("scale", "digits"))
RESULTS = Path(config.get("results", "results"))
ABLATIONS = Path(config.get("ablations", "ablations"))

unknown = set(config) - {"scale", "results", "ablations"}
if unknown:
    raise WorkflowError(
        f"unknown --config key '{sorted(unknown)[0]}'; accepted: scale, results, ablations"
    )


@functools.cache
def plan(scale):
    try:
        return load_plan(scale, ABLATIONS)
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None


def layout(scale):
    return Layout(RESULTS, scale)


# The same files with wildcards, for the outputs of rules.
FILES = layout("{scale}")

# A run's place, with wildcards.
NAMES = ("{task}", "{variant}", "{seed}")


def where(wildcards):
    """Options that every call of the command line gets."""
    return f"--scale {wildcards.scale} --results {RESULTS} --ablations {ABLATIONS}"


def threads_of(wildcards):
    return plan(wildcards.scale).scale.execution.threads


def extractor_weights(wildcards):
    task = plan(wildcards.scale).scale.tasks[wildcards.task]
    own = task.evaluation.extractor.name == "dataset-classifier"
    return [layout(wildcards.scale).extractor(task.data.name)] if own else []


def baselines_of(wildcards, seeds):
    p, files = plan(wildcards.scale), layout(wildcards.scale)
    needed = sorted({p.baseline_seed(seed) for seed in seeds})
    return [files.pretrained_weights(wildcards.task, seed) for seed in needed]


def baseline_weights(wildcards):
    return baselines_of(wildcards, [int(wildcards.seed)])


def slice_of(stage):
    """What a stage of a run depends on; its rule reruns when this changes, and only then."""
    return lambda w: plan(w.scale).slice(stage, w.task, w.variant, int(w.seed))


def slices_of_seeds(wildcards):
    p = plan(wildcards.scale)
    return [p.slice("run", wildcards.task, wildcards.variant, seed) for seed in p.seeds]


def runs_of(wildcards):
    """Metrics and convergence that a table of numbers gathers: of a study, or of all runs."""
    p, files = plan(wildcards.scale), layout(wildcards.scale)
    study = wildcards.get("study")
    return [
        *(files.metrics(*run) for run in p.runs(study)),
        *(files.convergence(*baseline) for baseline in p.baselines(study)),
    ]


def numbers_of(wildcards):
    files, study = layout(wildcards.scale), wildcards.study
    if study in plan(wildcards.scale).parameter_studies:
        return [files.parameters_table]
    return [files.results_table(study), files.baselines_table(study)]


def study_tables(wildcards):
    p, files = plan(wildcards.scale), layout(wildcards.scale)
    return [files.tables / f"{study}.md" for study in [*p.studies, *p.parameter_studies]]


def scales_that_run(job):
    # Both ways of running a scale make the same files; the scale says which rule is its own.
    names = [name for name in scale_names(ABLATIONS) if name in {SCALE, "smoke"}]
    return [name for name in names if plan(name).scale.execution.job == job]


def of_seeds(scale, path):
    """The path of each seed of a scale; its other wildcards stay."""
    return [str(path).replace("{seed}", str(seed)) for seed in plan(scale).seeds]


def tables_of(scale):
    p, files = plan(scale), layout(scale)
    return [
        *(files.tables / f"{study}.md" for study in [*p.studies, *p.parameter_studies]),
        files.results_table(),
        files.baselines_table(),
        files.tracking_receipt,
    ]


wildcard_constraints:
    scale=r"[\w-]+",
    task=r"[\w-]+",
    variant=r"[\w.,=+-]+",
    seed=r"\d+",
    study=r"[\w-]+",
