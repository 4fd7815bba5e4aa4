# Searches over the method's options: workers that share the trials, fresh seeds for the best
# points, and a page.
from dmp.sweeps.files import PLOTS, SweepFiles
from dmp.sweeps.loading import (
    fresh_seeds,
    load_sweep,
    page_slice,
    search_seeds,
    sweep_names,
    sweep_slice,
)

# The same files with wildcards.
SWEEP = SweepFiles(FILES, "{sweep}")


@functools.cache
def sweep_of(name):
    try:
        return load_sweep(ABLATIONS, name)
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None


def sweep_params(of):
    """What a job of a sweep depends on; it runs again when that changes, and only then."""
    return lambda w: of(sweep_of(w.sweep), plan(w.scale))


def sweep_inputs(seeds):
    """What the runs of some seeds of a sweep rest on."""

    def inputs(wildcards):
        scale, sweep = wildcards.scale, sweep_of(wildcards.sweep)
        job = SimpleNamespace(scale=scale, task=sweep.task)
        needed = baselines_of(job, seeds(sweep, plan(scale)))
        reference = layout(scale).reference(sweep.task)
        return [reference, *extractor_weights(job), *captions_of(job), *latents_of(job), *needed]

    return inputs


def workers_of(wildcards):
    count = sweep_of(wildcards.sweep).workers
    return expand(str(SWEEP.receipt("{worker}")), worker=range(count), allow_missing=True)


def confirmations_of(wildcards):
    count = sweep_of(wildcards.sweep).confirmation.points
    return expand(str(SWEEP.confirmation("{point}")), point=range(count + 1), allow_missing=True)


def sweeps_of(scale):
    """The pages of all sweeps that are run at a scale."""
    names = [n for n in sweep_names(ABLATIONS) if scale in (sweep_of(n).scales or [scale])]
    run = [n for n in names if sweep_of(n).task in plan(scale).scale.tasks]
    return [str(SweepFiles(layout(scale), name).pages()[0]) for name in run]


localrules:
    sweep_report,


# Killed, or told to stop, a worker leaves its trial to whoever next looks for work: to itself, if it
# is started again. Its receipt says that there was nothing left to take.
rule sweep_worker:
    input:
        sweep_inputs(search_seeds),
    output:
        SWEEP.receipt("{worker}"),
    log:
        SWEEP.root / "logs/worker{worker}.log",
    benchmark:
        SWEEP.root / "benchmarks/worker{worker}.tsv"
    wildcard_constraints:
        worker=r"\d+",
    threads: threads_of
    resources:
        **needs("run"),
    params:
        where=where,
        config=sweep_params(sweep_slice),
    message:
        "Sweep {wildcards.sweep}: trials of worker {wildcards.worker}; progress in {log}"
    shell:
        "exec dmp sweep work {wildcards.sweep} --worker {wildcards.worker} {params.where} > {log} 2>&1"


rule sweep_confirm:
    input:
        workers_of,
        sweep_inputs(fresh_seeds),
    output:
        SWEEP.confirmation("{point}"),
    log:
        SWEEP.root / "logs/point{point}.log",
    benchmark:
        SWEEP.root / "benchmarks/point{point}.tsv"
    wildcard_constraints:
        point=r"\d+",
    threads: threads_of
    resources:
        **needs("run"),
    params:
        where=where,
        config=sweep_params(sweep_slice),
    message:
        "Sweep {wildcards.sweep}: fresh seeds for point {wildcards.point}; progress in {log}"
    shell:
        "exec dmp sweep confirm {wildcards.sweep} --point {wildcards.point} {params.where} > {log} 2>&1"


rule sweep_report:
    input:
        workers_of,
        confirmations_of,
    output:
        report(SWEEP.pages()[0], caption=caption("table"), category="Sweeps"),
        *SWEEP.pages()[1:],
        SWEEP.trials,
        SWEEP.confirmed,
        SWEEP.best,
        SWEEP.interactive,
        *(SWEEP.figures / f"{plot}{suffix}" for plot in PLOTS for suffix in (".png", ".svg")),
    log:
        SWEEP.root / "logs/report.log",
    params:
        where=where,
        config=sweep_params(page_slice),
    message:
        "Table and plots of sweep {wildcards.sweep}"
    shell:
        "dmp sweep report {wildcards.sweep} {params.where} > {log} 2>&1"


wildcard_constraints:
    sweep=r"[\w-]+",
