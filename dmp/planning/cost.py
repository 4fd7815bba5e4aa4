"""The jobs that a plan is made of, and what each takes of a GPU and of the disk."""

from collections.abc import Iterator
from dataclasses import dataclass

from dmp.config import TaskConfig, content_hash
from dmp.data.formats import captions_per_image
from dmp.data.registry import dataset_info
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.methods import find_method
from dmp.planning import networks
from dmp.planning.counting import Counts, count
from dmp.planning.rates import Rates, Time
from dmp.recipes import DECAYED, PAPER
from dmp.running.launch import training_gpus
from dmp.studies import Plan
from dmp.studies.run import RunConfig

GATE_IMAGES = 32
FLOAT, HALF = 4, 2
INCEPTION_FEATURES = 2048 + 1008
CLASSIFIER_FEATURES = 64

Key = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One stage of one run, or something that several runs share.

    Attributes:
        key: stage and what it is of.
        time: on one GPU.
        gpus: how many share it, each taking its part of the time.
        disk: bytes that stay.
        needs: keys of the jobs that have to be done before.
        weights: of a baseline, where its weights come from.
    """

    key: Key
    time: Time
    gpus: int = 1
    disk: int = 0
    needs: tuple[Key, ...] = ()
    weights: str = ""


def jobs(plan: Plan, rates: Rates) -> dict[Key, Job]:
    """Return the jobs of all runs of a plan, each after those that it needs.

    Raises:
        DMPError: a dataset on disk whose number of images the scale does not say.
    """
    found: list[Job] = []
    used = {name for name, _ in plan.variants()}
    for name, task in plan.scale.tasks.items():
        if name in used:
            found += _preparation(name, task, rates, plan.scale.execution.latents_jobs)
    counts = {name: count(plan.pretraining(name, 0)) for name, _ in plan.baselines()}
    for name, seed in plan.baselines():
        found.append(_baseline(plan, plan.pretraining(name, seed), counts[name], rates))
    for name, seed in plan.decayed():
        found.append(_decayed(plan, plan.pretraining(name, seed, DECAYED), counts[name], rates))
    for name, variant in plan.variants():
        counted = count(plan.run(name, variant, plan.seeds[0]))
        for seed in plan.seeds:
            found += _run(plan, plan.run(name, variant, seed), counted, rates)
    return {job.key: job for job in found}


def run_keys(run: tuple[str, str, int]) -> list[Key]:
    """Return the keys of a run's own jobs."""
    task, variant, seed = run
    return [(stage, task, variant, str(seed)) for stage in ("train", "sample", "evaluate")]


def _latents_key(task: TaskConfig) -> Key:
    # Tasks of the same data share them.
    return ("latents", task.data.name, content_hash(task.data.model_dump(exclude={"held_out"})))


def _images(task: TaskConfig) -> dict[str, int]:
    """Return how many images each part of a task's dataset has."""
    if task.data.source is None:
        info = dataset_info(task.data.name)
        every = info.images or len(info.load().labels)
    else:
        every = _given(task.data.source.images, task, "source")
    parts = task.data.parts(every)
    if task.evaluation.reference == "test" and task.data.test is not None:
        parts["test"] = _given(task.data.test.images, task, "test")
    return parts


def _given(images: int | None, task: TaskConfig, key: str) -> int:
    if images is None:
        raise DMPError(
            f"the cost of '{task.data.name}' depends on how many images it has: give "
            f"data.{key}.images"
        )
    return images


def _losses(run: RunConfig, counts: Counts, models: int, rates: Rates) -> Time:
    """Return the time of the denoising losses of held-out, or of as many training, images."""
    evaluation, parts = run.config.evaluation, _images(run.config)
    images = min(parts["train"], parts["held-out"], evaluation.held_out_images)
    return rates.single(counts.forward * images * evaluation.timesteps_per_image * models)


def _pixels(task: TaskConfig) -> tuple[int, int]:
    """Return height (and width) and channels of an image, not of its latents."""
    shape = input_shape(task.data.model_copy(update={"latents": None}))
    return shape.size, shape.channels


def _features(task: TaskConfig, images: int, rates: Rates) -> tuple[Time, int]:
    """Return time and bytes of the features of images."""
    classes = input_shape(task.data).classes
    own = task.evaluation.extractor.trained_here
    macs = networks.classifier(*_pixels(task), classes) if own else networks.INCEPTION
    width = CLASSIFIER_FEATURES + classes if own else INCEPTION_FEATURES
    return rates.convolutions(macs * images), images * width * FLOAT


def _preparation(name: str, task: TaskConfig, rates: Rates, latents_jobs: int) -> Iterator[Job]:
    parts, shape = _images(task), input_shape(task.data)
    needs: list[Key] = []
    if task.data.latents is not None:
        latents = task.data.latents
        # Each image and its mirror: mean and log-variance.
        views = parts["all"] * (2 if shape.flip else 1)
        numbers = 2 * views * latents.channels * shape.size**2
        width = HALF if latents.dtype == "float16" else FLOAT
        time = rates.convolutions(networks.encode(_pixels(task)[0]) * views)
        yield Job(_latents_key(task), time, latents_jobs, numbers * width)
    if task.evaluation.extractor.trained_here:
        macs = networks.classifier(*_pixels(task), shape.classes)
        epochs = task.evaluation.extractor.epochs
        key = ("extractor", task.data.name)
        yield Job(key, rates.convolutions(3 * macs * parts["extractor"] * epochs))
        needs.append(key)
    if task.text is not None:
        if task.data.source is None:
            phrases = dataset_info(task.data.name).phrases
            captions = sum(len(c) for split in (phrases() if phrases else ()) for c in split)
        else:
            captions = captions_per_image(task.data.source) * parts["all"]
        macs = networks.text_encoder(task.text.hidden_size, task.text.layers)
        disk = captions * task.text.hidden_size * FLOAT
        if task.data.source is not None:
            # The states of all tokens and the pooled one, as the encoder's cache keeps them.
            disk += captions * (networks.CAPTION_TOKENS + 1) * task.text.hidden_size * HALF
        yield Job(("captions", name), rates.single(macs * captions), disk=disk)
    real = parts[task.evaluation.reference]
    time, _ = _features(task, 0 if task.evaluation.reference_file else real, rates)
    _, disk = _features(task, min(real, task.evaluation.reference_features), rates)
    yield Job(("reference", name), time, disk=disk, needs=tuple(needs))


def _prepared(name: str, task: TaskConfig) -> tuple[Key, ...]:
    """Return the keys of what a task needs before any training."""
    latents = [] if task.data.latents is None else [_latents_key(task)]
    captions = [] if task.text is None else [("captions", name)]
    return ("reference", name), *latents, *captions


def _samples(run: RunConfig, counts: Counts, images: int, rates: Rates) -> tuple[Time, int]:
    """Return time and bytes of features of samples: backbone, decoder, extractor."""
    task = run.config
    guided = 2 if task.sampling.guidance_scale != 1 else 1
    time, disk = _features(task, images, rates)
    time += rates.sampling(counts, images * task.sampling.steps * guided)
    if task.data.latents is not None:
        time += rates.convolutions(networks.decode(_pixels(task)[0]) * images)
    return time, disk


def _baseline(plan: Plan, run: RunConfig, counts: Counts, rates: Rates) -> Job:
    config, weights = run.config.pretraining, counts.backbone * FLOAT
    key = _baseline_key(run, PAPER)
    needs = _prepared(run.task, run.config)
    losses = _losses(run, counts, 1, rates)
    check, _ = _samples(run, counts, config.convergence_samples, rates)
    training = rates.training(counts, config.iterations * config.batch_size)
    if config.begin is not None:
        share = (config.begin.resolution / input_shape(run.config.data).size) ** 2
        examples = round(share * config.begin.iterations * config.begin.batch_size)
        training += rates.training(counts, examples)
    checkpoints = 0 if config.branch else config.convergence_checkpoints
    training += check * checkpoints
    if config.published is not None:
        # They are sampled once. The weights; and those with their averages, from which training
        # could go on.
        origin = f"imported: {config.published.path}; training would take {training} h"
        return Job(key, losses + check, 1, 3 * weights, needs, origin)
    # The averaged weights, at the end and at the points before it where convergence is judged; and
    # the others with the averages and Adam's two moments, at the end and where another recipe
    # branches off.
    disk = (checkpoints + 4 + 4 * (config.branch > 0)) * weights
    return Job(key, training + losses, _gpus(plan, "pretrain", run), disk, needs, "trained")


def _decayed(plan: Plan, run: RunConfig, counts: Counts, rates: Rates) -> Job:
    config = run.config.pretraining
    examples = (config.iterations - config.branch) * config.batch_size
    time, needs = rates.training(counts, examples), (_baseline_key(run, PAPER),)
    gpus, disk = _gpus(plan, "pretrain", run), counts.backbone * FLOAT
    return Job(_baseline_key(run, DECAYED), time, gpus, disk, needs, "trained")


def _baseline_key(run: RunConfig, recipe: str) -> Key:
    stage = "baseline" if recipe == PAPER else recipe
    return (stage, run.task, str(run.baseline_seed))


def _gpus(plan: Plan, stage: str, run: RunConfig) -> int:
    # A scale that asks for no GPU uses the one that is there.
    return max(1, training_gpus(plan.scale.execution.resources(stage), run.batch_losses))


def _run(plan: Plan, run: RunConfig, counts: Counts, rates: Rates) -> Iterator[Job]:
    task, execution = run.config, plan.scale.execution
    train, sample, evaluate = run_keys((run.task, run.variant, run.seed))
    baseline = _baseline_key(run, run.recipe)
    time, numbers, snapshots = Time(), 0, len(run.snapshots)
    if find_method(run.method).trains:
        numbers = counts.saved
        time = rates.training(counts, task.training.iterations * task.training.batch_size)
    # Weights, now and at each snapshot; and the checkpoint with Adam's moments and the average.
    copies = 1 + snapshots + 3 + (task.training.ema_decay is not None)
    yield Job(train, time, _gpus(plan, "train", run), copies * numbers * FLOAT, (baseline,))

    time, disk = _samples(run, counts, task.sampling.samples, rates)
    size, channels = _pixels(task)
    # Some images of the last iteration are kept, of snapshots the features alone.
    kept = min(task.sampling.samples, execution.kept_samples)
    disk = disk * (1 + snapshots) + kept * channels * size**2
    yield Job(sample, time * (1 + snapshots), execution.sampling_shards, disk, (train,))

    # The last model is looked at on held-out and on training images.
    time = _losses(run, counts, 2 + snapshots, rates)
    if run.patch is not None and run.patch.gate != "none":
        time += rates.single(counts.forward * 2 * task.evaluation.gate_timesteps * GATE_IMAGES)
    yield Job(evaluate, time, needs=(sample,))
