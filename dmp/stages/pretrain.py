"""Training the baseline."""

import shutil
import time
from pathlib import Path
from typing import Any, cast

from dmp.backbones import Backbone, DiT
from dmp.config import BeginConfig, PretrainingConfig
from dmp.data.shape import input_shape
from dmp.data.stream import TrainingStream
from dmp.diffusion import Diffusion
from dmp.files import STAGE_OUTPUT
from dmp.products.runs import baseline_product
from dmp.recipes import DECAYED, PAPER, Recipe
from dmp.rng import generator
from dmp.running.processes import is_main_process
from dmp.stages.common import Context, alone, new_backbone, write_baseline
from dmp.stages.data import TaskData, task_data
from dmp.stages.published import import_baseline
from dmp.studies.run import PRETRAINING, RunConfig
from dmp.tensorfile import load_tensors, read_description, save_tensors
from dmp.training import Objective, fit

# Below a baseline's folder, until the baseline is trained.
BEGIN = "begin"


def training_stream(
    run: RunConfig, objective: Objective, data: TaskData, continues: bool = False
) -> TrainingStream:
    """Return the training examples of a run's seed.

    Baselines draw from one phase and further training from the other. ``continued``, a baseline's
    own training going on, goes on in the baseline's phase, behind as many examples as that has
    used: these are the very next ones where the seeds of both are equal. Where several seeds rest
    on one baseline, the others take the same place of their own seed's phase, or they would all
    train alike.
    """
    task = run.config
    own = continues or run.method == PRETRAINING
    used = task.pretraining.iterations * task.pretraining.batch_size
    return TrainingStream(
        data.train,
        run.seed,
        task.diffusion.timesteps,
        input_shape(task.data).flip,
        task.label_dropout,
        cast(Backbone, objective.backbone).null_label if task.label_dropout else None,
        None if data.captions is None else data.captions.train,
        objective.attached.noise_shape,
        phase="pretraining" if own else "further training",
        skip=used if continues else 0,
    )


def pretrain(context: Context, task: str, seed: int, recipe: Recipe = PAPER) -> None:
    """Train a baseline, and write its averaged (EMA) weights.

    The decayed recipe goes on from where it branches off the other's training.

    Those of some way before the end are kept beside them, for :func:`dmp.stages.converge.converge`.
    What is there already, and current, is not trained anew: to train it takes hours at the larger
    scales. Where several processes train together, the first alone writes. If another process is
    training it, this one waits, and trains only what that has not.
    """
    run = context.plan.pretraining(task, seed, recipe)
    directory = context.layout.pretrained(*run.baseline)
    with alone(directory, "training"):
        if baseline_product(context.layout, run).is_current():
            print(f"{directory} is there already: delete it to train it anew", flush=True)
            return
        _pretrain(context, run)


def _pretrain(context: Context, run: RunConfig) -> None:
    started = time.time()
    task, seed = run.task, run.seed
    if run.config.pretraining.published is not None:
        if is_main_process():
            import_baseline(context, run)
        return
    data = task_data(context, task, run.config)
    if run.recipe == DECAYED:
        _decay(context, run, data, started)
        return
    directory = context.layout.pretrained(task, seed)
    backbone = train_baseline(context, run, data, directory, judged_iterations(run))
    if not is_main_process():
        return
    _remove_others(context, run)
    # The unaveraged weights and the optimiser: from here the baseline itself can train on.
    (directory / "checkpoint.safetensors").replace(context.layout.pretrained_state(task, seed))
    shutil.rmtree(directory / BEGIN, ignore_errors=True)
    write_baseline(context, run, backbone, started)


def _decay(context: Context, run: RunConfig, data: TaskData, started: float) -> None:
    """Let the learning rate of a baseline's training fall to 0 after the branch."""
    layout, config = context.layout, run.config.pretraining
    directory = layout.pretrained(*run.baseline)
    stem = context.plan.pretraining(run.task, run.seed)
    branch, identity = layout.branch(run.task, run.seed), stem.fingerprint("baseline")
    kept = branch.is_file() and read_description(branch, STAGE_OUTPUT).get("identity") == identity
    if not kept:
        if is_main_process():
            print(
                f"the state of baseline {run.seed} of {run.task} after iteration {config.branch} "
                f"has not been kept: it is trained again until there; its weights stay as they are",
                flush=True,
            )
        shorter = config.model_copy(update={"iterations": config.branch, "decay": None})
        folder = directory / "stem"
        train_baseline(context, stem, data, folder, [], shorter)
        branch = folder / "checkpoint.safetensors"
    backbone = _new_baseline(context, run)
    _fit(
        run, backbone, data, directory, config, branch=(branch, identity), decay_from=config.branch
    )
    if is_main_process():
        write_baseline(context, run, backbone, started)
        shutil.rmtree(directory / "stem", ignore_errors=True)
        (directory / "checkpoint.safetensors").unlink()


def _remove_others(context: Context, run: RunConfig) -> None:
    """Remove averages that are not needed any more, and what a kill left half-written."""
    steps = judged_iterations(run)
    kept = {context.layout.baseline_snapshot(run.task, run.seed, step) for step in steps}
    for path in (context.layout.pretrained(run.task, run.seed) / "snapshots").glob("*.safetensors"):
        if path not in kept:
            path.unlink()


def judged_iterations(run: RunConfig) -> list[int]:
    """Return the iterations whose averages say whether a baseline has converged."""
    config = run.config.pretraining
    if config.decay is not None:
        return []  # what decaying the rate still gains says it
    return [
        config.iterations - config.convergence_every * back
        for back in reversed(range(config.convergence_checkpoints))
    ]


def train_baseline(
    context: Context,
    run: RunConfig,
    data: TaskData,
    directory: Path,
    kept: list[int],
    config: PretrainingConfig | None = None,
) -> DiT:
    """Train a baseline in a folder, keep its averages after some iterations, and return the last.

    The average after the last iteration is that of the weights, and is not kept twice.
    """
    config = run.config.pretraining if config is None else config
    fingerprint, branch = run.fingerprint("baseline"), context.layout.branch(run.task, run.seed)
    backbone = _new_baseline(context, run)
    if config.begin is not None:
        _begin(run, backbone, data, directory / BEGIN, config, config.begin)
    _fit(
        run,
        backbone,
        data,
        directory,
        config,
        snapshots=[step for step in kept if step != config.iterations],
        on_snapshot=lambda step: save_tensors(
            context.layout.baseline_snapshot(run.task, run.seed, step),
            backbone.state_dict(),
            {"format": "weights", "identity": fingerprint},
        ),
        kept_states={config.branch: branch} if config.branch else {},
    )
    return backbone


def beginning(config: PretrainingConfig, begin: BeginConfig) -> PretrainingConfig:
    """Return the settings of the part at a smaller resolution: its own, and those of the rest."""
    own = begin.model_dump(exclude={"resolution"}, exclude_none=True)
    return config.model_copy(update=own)


def _begin(
    run: RunConfig,
    backbone: DiT,
    data: TaskData,
    directory: Path,
    config: PretrainingConfig,
    begin: BeginConfig,
) -> None:
    """Train a backbone at a smaller resolution, or take up what has been trained there."""
    small = backbone.resized(begin.resolution)
    first = beginning(config, begin)
    _fit(run, small, data.trained_at(begin.resolution), directory, first)
    trained = small.state_dict()
    # The one tensor that the resolution decides; nobody trains it.
    trained["pos_embed"] = backbone.pos_embed
    backbone.load_state_dict(trained)


def _fit(
    run: RunConfig,
    backbone: DiT,
    data: TaskData,
    directory: Path,
    config: PretrainingConfig,
    **how: Any,
) -> None:
    """Train a new baseline in a folder; ``how`` is as for :func:`dmp.training.fit`."""
    fingerprint = run.fingerprint("baseline")
    if is_main_process():
        set_foreign_state_aside(directory, fingerprint)
    objective = Objective(backbone, Diffusion.of(run.config))
    stream, ema = training_stream(run, objective, data), config.ema_decay
    fit(objective, stream, config, directory, fingerprint, run.precision, ema, **how)


def _new_baseline(context: Context, run: RunConfig) -> DiT:
    backbone = new_backbone(context, run.task, run.config)
    assert isinstance(backbone, DiT)  # weights of others are published: the configuration says so
    backbone.initialize_weights(generator(run.seed, "backbone initialisation"))
    return backbone


def set_foreign_state_aside(directory: Path, fingerprint: str) -> None:
    """Rename the unfinished state of an earlier configuration, which an edit has made obsolete.

    Raises:
        DMPError: the state is corrupt, so that it cannot be told which configuration it is of.
    """
    checkpoint = directory / "checkpoint.safetensors"
    if not checkpoint.is_file():
        return
    found = load_tensors(checkpoint, STAGE_OUTPUT)[1].get("identity")
    if found != fingerprint:
        aside = checkpoint.replace(checkpoint.with_stem("superseded"))
        print(
            f"{directory}: the configuration has changed ({fingerprint}, it was {found}), so that "
            f"training starts anew; what was done of the earlier one is now {aside}",
            flush=True,
        )
