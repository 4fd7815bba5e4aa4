"""The jobs that a plan is made of, and what each takes of a GPU and of the disk."""

from collections.abc import Iterable
from dataclasses import dataclass

from dmp.config import RunConfig, TaskConfig, content_hash
from dmp.data.formats import captions_per_image
from dmp.data.registry import dataset_info
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.planning import flops
from dmp.planning.flops import AnyGeometry, geometry
from dmp.planning.rates import Rates, Time
from dmp.planning.throughput import Published
from dmp.planning.unet import UNetGeometry
from dmp.running.launch import training_gpus
from dmp.studies import Plan

CLASSIFIER = "dataset-classifier"
STAGES = (
    "latents",
    "captions",
    "extractor",
    "reference",
    "baseline",
    "train",
    "sample",
    "evaluate",
)

GATE_IMAGES = 32
FLOAT, HALF = 4, 2
INCEPTION_FEATURES = 2048 + 1008
CLASSIFIER_FEATURES = 64

Key = tuple[str, ...]
NONE = Time()


@dataclass(frozen=True)
class Job:
    """One stage of one run, or something that several runs share.

    Attributes:
        key: stage and what it is of.
        time: on one GPU.
        gpus: how many share it, each taking its part of the time.
        disk: bytes that stay.
        needs: keys of the jobs that have to be done before.
        published: the name of the public weights of this baseline, if there are any.
        imported: whether they are taken, and nothing is trained.
        spared: the time of training that they spare, where they are imported.

    """

    key: Key
    time: Time
    gpus: int = 1
    disk: int = 0
    needs: tuple[Key, ...] = ()
    published: str = ""
    imported: bool = False
    spared: Time = NONE

    @property
    def stage(self) -> str:
        """One of :data:`STAGES`."""
        return self.key[0]


def jobs(
    plan: Plan, rates: Rates, published: Iterable[Published] = (), imported: bool = True
) -> dict[Key, Job]:
    """Return the jobs of all runs of a plan, each after those that it needs.

    Args:
        plan: the scale and its studies.
        rates: how fast the GPU is.
        published: baselines with public weights.
        imported: whether those are imported, or trained all the same.

    Raises:
        DMPError: a dataset on disk whose number of images the scale does not say.

    """
    found: dict[Key, Job] = {}
    public = list(published)
    for name, task in plan.scale.tasks.items():
        for job in _preparation(name, task, rates, plan.scale.execution.latents_jobs):
            found[job.key] = job
    for name, seed in plan.baselines():
        job = _baseline(plan, plan.pretraining(name, seed), rates, public, imported)
        found[job.key] = job
    for run in plan.runs():
        for job in _run(plan, plan.run(*run), rates):
            found[job.key] = job
    return found


def run_keys(run: tuple[str, str, int]) -> list[Key]:
    """Return the keys of a run's own jobs."""
    task, variant, seed = run
    return [(stage, task, variant, str(seed)) for stage in ("train", "sample", "evaluate")]


def _latents_key(task: TaskConfig) -> Key:
    # Tasks of the same data share them.
    return ("latents", task.data.name, content_hash(task.data.model_dump(exclude={"held_out"})))


def images_of(task: TaskConfig) -> int:
    """Return how many images a task's dataset has.

    Raises:
        DMPError: it lies on disk, and the scale does not say how many there are.

    """
    if task.data.source is None:
        return len(dataset_info(task.data.name).load().labels)
    if task.data.source.images is None:
        raise DMPError(
            f"the cost of '{task.data.name}' depends on how many images it has: give "
            f"data.source.images"
        )
    return task.data.source.images


def _split(task: TaskConfig) -> tuple[int, int]:
    """Return how many images are trained on, and held out."""
    count = images_of(task)
    held_out = round(count * task.data.held_out)
    return count - held_out, held_out


def _losses(run: RunConfig, g: AnyGeometry, models: int, rates: Rates) -> Time:
    """Return the time of the denoising losses of held-out, or of as many training, images."""
    evaluation = run.config.evaluation
    images = min(*_split(run.config), evaluation.held_out_images)
    return rates.evaluation(g, run.patch, images * evaluation.timesteps_per_image * models)


def _pixels(task: TaskConfig) -> tuple[int, int]:
    """Return height (and width) and channels of an image, not of its latents."""
    pixels = task.data.model_copy(update={"latents": None})
    shape = input_shape(pixels)
    return shape.size, shape.channels


def _features(task: TaskConfig, images: int, rates: Rates) -> tuple[Time, int]:
    """Return time and bytes of the features of images."""
    size, channels = _pixels(task)
    classes = input_shape(task.data).classes
    own = task.evaluation.extractor.name == CLASSIFIER
    macs = flops.classifier(size, channels, classes) if own else flops.INCEPTION
    width = CLASSIFIER_FEATURES + classes if own else INCEPTION_FEATURES
    return rates.convolutions(macs * images), images * width * FLOAT


def _preparation(name: str, task: TaskConfig, rates: Rates, latents_jobs: int) -> Iterable[Job]:
    count, (train, held_out) = images_of(task), _split(task)
    needs: list[Key] = []
    if task.data.latents is not None:
        latents, shape = task.data.latents, input_shape(task.data)
        # Each image and its mirror: mean and log-variance.
        views = count * (2 if shape.flip else 1)
        numbers = 2 * views * latents.channels * shape.size**2
        width = HALF if latents.dtype == "float16" else FLOAT
        time = rates.convolutions(flops.encode(_pixels(task)[0]) * views)
        yield Job(_latents_key(task), time, latents_jobs, numbers * width)
    if task.evaluation.extractor.name == CLASSIFIER:
        size, channels = _pixels(task)
        macs = flops.classifier(size, channels, input_shape(task.data).classes)
        epochs = task.evaluation.extractor.epochs
        key = ("extractor", task.data.name)
        yield Job(key, rates.convolutions(3 * macs * train * epochs))
        needs.append(key)
    if task.text is not None:
        if task.data.source is None:
            phrases = dataset_info(task.data.name).phrases
            captions = sum(len(c) for split in (phrases() if phrases else ()) for c in split)
        else:
            captions = captions_per_image(task.data.source) * count
        macs = flops.text_encoder(task.text.hidden_size, task.text.layers)
        disk = captions * task.text.hidden_size * FLOAT
        if task.data.source is not None:
            # The states of all tokens and the pooled one, as the encoder's cache keeps them.
            disk += captions * (flops.CAPTION_TOKENS + 1) * task.text.hidden_size * HALF
        yield Job(("captions", name), rates.text(macs * captions), disk=disk)
    real = {"train": train, "held-out": held_out, "all": count}[task.evaluation.reference]
    time, _ = _features(task, 0 if task.evaluation.reference_file else real, rates)
    _, disk = _features(task, min(real, task.evaluation.reference_features), rates)
    yield Job(("reference", name), time, disk=disk, needs=tuple(needs))


def _prepared(name: str, task: TaskConfig) -> tuple[Key, ...]:
    """Return the keys of what a task needs before any training."""
    needs: list[Key] = [("reference", name)]
    if task.data.latents is not None:
        needs.append(_latents_key(task))
    if task.text is not None:
        needs.append(("captions", name))
    return tuple(needs)


def _samples(run: RunConfig, g: AnyGeometry, count: int, rates: Rates) -> tuple[Time, int]:
    """Return time and bytes of features of samples: backbone, decoder, extractor."""
    task = run.config
    guided = 2 if task.sampling.guidance_scale != 1 else 1
    time, disk = _features(task, count, rates)
    time += rates.sampling(g, run.patch, count * task.sampling.steps * guided)
    if task.data.latents is not None:
        time += rates.convolutions(flops.decode(_pixels(task)[0]) * count)
    return time, disk


def _baseline(
    plan: Plan, run: RunConfig, rates: Rates, published: list[Published], imported: bool
) -> Job:
    task, g = run.config, geometry(run.config)
    config, weights = task.pretraining, flops.parameters(g) * FLOAT
    key = ("baseline", run.task, str(run.baseline_seed))
    needs = _prepared(run.task, task)
    losses = _losses(run, g, 1, rates)
    training = rates.training(g, None, config.iterations * config.batch_size)
    check, _ = _samples(run, g, config.convergence_samples, rates)
    training += check * config.convergence_checkpoints
    if isinstance(g, UNetGeometry):
        # Nobody trains it here, whatever is asked for: a few samples are looked at.
        assert config.published is not None  # the configuration says so
        # The weights; and those with their averages, from which training could go on.
        return Job(key, losses + check, 1, 3 * weights, needs, config.published.path, True)
    same = (p for p in published if p.data == task.data.name and p.label_rows == g.label_rows)
    name = next((p.name for p in same if p.matches(g)), "")
    if name and imported:
        # There is one checkpoint, whose trend cannot be looked at.
        return Job(key, losses, 1, weights, needs, name, True, training)
    # The averaged weights, at the end and at the points before it where convergence is judged; and
    # the others with the averages and Adam's two moments.
    disk = (config.convergence_checkpoints + 4) * weights
    return Job(key, training + losses, _gpus(plan, "pretrain", run), disk, needs, name)


def _gpus(plan: Plan, stage: str, run: RunConfig) -> int:
    # A scale that asks for no GPU uses the one that is there.
    return max(1, training_gpus(plan.scale.execution.resources(stage), run.patch))


def _run(plan: Plan, run: RunConfig, rates: Rates) -> Iterable[Job]:
    task, g = run.config, geometry(run.config)
    train, sample, evaluate = run_keys((run.task, run.variant, run.seed))
    baseline = ("baseline", run.task, str(run.baseline_seed))
    steps = task.training
    trains = 0
    if run.method != "baseline":
        trains = flops.parameters(g) if run.patch is None else flops.patch_parameters(g, run.patch)
    snapshots = len(run.snapshots)
    # Weights, now and at each snapshot; and the checkpoint with Adam's moments and the average.
    copies = 1 + snapshots + 3 + (steps.ema_decay is not None)
    time = Time()
    if trains:
        time = rates.training(g, run.patch, steps.iterations * steps.batch_size)
    gpus = _gpus(plan, "train", run)
    yield Job(train, time, gpus, copies * trains * FLOAT, (baseline,))

    time, disk = _samples(run, g, task.sampling.samples, rates)
    size, channels = _pixels(task)
    # Some images of the last iteration are kept, of snapshots the features alone.
    kept = min(task.sampling.samples, plan.scale.execution.kept_samples)
    disk = disk * (1 + snapshots) + kept * channels * size**2
    shards = plan.scale.execution.sampling_shards
    yield Job(sample, time * (1 + snapshots), shards, disk, (train,))

    # The last model is looked at on held-out and on training images.
    time = _losses(run, g, 2 + snapshots, rates)
    if run.patch is not None and run.patch.gate != "none":
        passes = 2 * task.evaluation.gate_timesteps * GATE_IMAGES
        time += rates.evaluation(g, run.patch, passes)
    yield Job(evaluate, time, needs=(sample,))
