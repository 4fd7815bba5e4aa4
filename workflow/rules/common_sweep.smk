# What the rules of sweeps share.
from dmp.products.recognise import recognise_sweep
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import (
    fresh_seeds,
    load_space,
    load_sweep,
    search_seeds,
    sweep_names,
)

# The same files with wildcards.
SWEEP = SweepFiles(FILES, "{sweep}")


@functools.cache
def sweep_of(name):
    try:
        return load_sweep(ABLATIONS, name)
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None


@functools.cache
def checked_sweep(name, scale):
    """A sweep whose points can exist at a scale: known before any baseline is trained for it."""
    sweep = sweep_of(name)
    try:
        load_space(ABLATIONS, sweep, plan(scale))
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None
    return sweep


@functools.cache
def recognised_sweep(name, scale):
    """As :func:`recognised`, for what a sweep makes of its own."""
    sweep = checked_sweep(name, scale)
    if not looked_up():
        return Found()
    recognised(scale)  # what it rests on comes first
    try:
        found = recognise_sweep(plan(scale), layout(scale), sweep)
    except DMPError as error:
        raise WorkflowError(f"error: {error}") from None
    return told(found, f"sweep {name} at scale {scale}")


def outdated_sweep(stage, *keys):
    """As :func:`outdated`, for a job of a sweep, and which worker or point of it."""

    def newer(wildcards):
        found = recognised_sweep(wildcards.sweep, wildcards.scale)
        numbers = (int(getattr(wildcards, key)) for key in keys)
        return outdated_files(found, {(stage, (wildcards.sweep, *numbers))})

    return newer


def sweep_inputs(seeds):
    """What the runs of some seeds of a sweep rest on."""

    def inputs(wildcards):
        scale = wildcards.scale
        sweep = checked_sweep(wildcards.sweep, scale)
        job = SimpleNamespace(scale=scale, task=sweep.task)
        needed = baselines_of(job, seeds(sweep, plan(scale)))
        reference = layout(scale).reference(sweep.task)
        return [reference, *extractor_weights(job), *captions_of(job), *latents_of(job), *needed]

    return inputs


def workers_of(wildcards):
    count = sweep_of(wildcards.sweep).workers
    return expand(str(SWEEP.worker_summary("{worker}")), worker=range(count), allow_missing=True)


def confirmations_of(wildcards):
    count = sweep_of(wildcards.sweep).confirmation.points
    return expand(str(SWEEP.confirmation("{point}")), point=range(count + 1), allow_missing=True)


def sweeps_of(scale):
    """The pages of all sweeps that are run at a scale."""
    names = [n for n in sweep_names(ABLATIONS) if scale in (sweep_of(n).scales or [scale])]
    run = [n for n in names if sweep_of(n).task in plan(scale).scale.tasks]
    return [str(SweepFiles(layout(scale), name).pages()[0]) for name in run]
