"""What a schema cannot say: does every name exist, and can every cell be built?"""

from dmp.config import BackboneConfig, TaskConfig, UNetConfig, nearest
from dmp.data.formats import captions_per_image, check_sources
from dmp.data.shape import has_captions, input_shape
from dmp.errors import DMPError
from dmp.methods import UnfitError, Variant, find_method
from dmp.recipes import PAPER
from dmp.studies.further import further_training
from dmp.studies.schema import Comparison, Scale
from dmp.studies.sizes import check_sizes, training_images

_NOT_RESIZED = "images are resized for a DiT on an embedded dataset alone"


class UnfitVariantError(DMPError):
    """A variant that this task's backbone has no place for; that of another scale may have.

    Attributes:
        reason: the message without the place in a file.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason


class NoBaselineError(UnfitVariantError):
    """A variant on a recipe of baselines that this scale does not train."""


def check_task(name: str, task: TaskConfig, where: str) -> None:
    """Check one task of a scale.

    Raises:
        DMPError: naming the key, the value and what is accepted.
    """
    place = f"{where}: tasks.{name}"
    check_sources(task.data, f"{place}.data")
    _nothing_is_ignored(task, place)
    shape = input_shape(task.data, f"{place}.data.name")
    if isinstance(task.backbone, BackboneConfig):
        _check_dit(task.backbone, task, shape.size, place)
    if task.data.latents is not None and task.sampling.clip:
        raise DMPError(
            f"{place}.sampling.clip = true keeps predictions within [-1, 1], where pixels are but "
            f"latents are not; set clip: false"
        )
    if task.sampling.guidance_scale != 1 and not task.label_dropout:
        raise DMPError(
            f"{place}.sampling.guidance_scale = {task.sampling.guidance_scale} needs a backbone "
            f"that was trained with label_dropout > 0 and conditioning: class or text"
        )
    if task.label_dropout and task.conditioning == "none":
        raise DMPError(f"{place}.label_dropout needs conditioning: class or text, not none")
    if task.conditioning == "text" and not has_captions(task.data):
        raise DMPError(f"{place}.conditioning = text, but '{task.data.name}' has no captions")
    if task.conditioning == "class" and shape.classes == 1:
        raise DMPError(f"{place}.conditioning = class, but '{task.data.name}' has one class")
    _test_fits(task, place)
    if task.sampling.steps > task.diffusion.timesteps:
        raise DMPError(
            f"{place}.sampling.steps = {task.sampling.steps} is more than the "
            f"{task.diffusion.timesteps} timesteps of the diffusion"
        )
    check_sizes(task, place)
    pretraining = task.pretraining
    window = pretraining.convergence_every * (pretraining.convergence_checkpoints - 1)
    if window >= pretraining.iterations:
        raise DMPError(
            f"{place}.pretraining: {pretraining.convergence_checkpoints} checkpoints "
            f"{pretraining.convergence_every} iterations apart do not fit into "
            f"{pretraining.iterations} iterations"
        )
    if pretraining.begin is not None:
        _begins_smaller(task, pretraining.begin.resolution, f"{place}.pretraining.begin")
    if task.evaluation.reference == "held-out" and not task.data.held_out:
        raise DMPError(f"{place}.evaluation.reference = held-out needs data.held_out > 0")


def _resized_patch(task: TaskConfig) -> int | None:
    """Return the patch size of what can train at another resolution; None for all else."""
    resizable = task.data.source is None and isinstance(task.backbone, BackboneConfig)
    return task.backbone.patch_size if resizable else None


def _begins_smaller(task: TaskConfig, edge: int, place: str) -> None:
    """Refuse a beginning of the baseline's training that cannot go over into the rest."""
    if task.pretraining.published is not None:
        raise DMPError(f"{place}: published weights have no training that could begin otherwise")
    patch = _resized_patch(task)
    if patch is None:
        raise DMPError(f"{place}: {_NOT_RESIZED}")
    own = input_shape(task.data).size
    if edge >= own or edge % patch:
        raise DMPError(
            f"{place}.resolution = {edge} has to be smaller than the dataset's {own}, and a "
            f"multiple of patch_size = {patch}"
        )


def _nothing_is_ignored(task: TaskConfig, place: str) -> None:
    """Refuse options of a network that is chosen by its name and has no such options."""
    for key in ("extractor", "second_opinion"):
        given = getattr(task.evaluation, key)
        option = "weights" if given and given.trained_here else "epochs"
        if given is not None and option in given.model_fields_set:
            raise DMPError(
                f"{place}.evaluation.{key}.{option} has no meaning with name = {given.name}; leave "
                f"it out"
            )


def _test_fits(task: TaskConfig, place: str) -> None:
    """Refuse a split for evaluation that cannot serve as one of its dataset."""
    source, test = task.data.source, task.data.test
    if source is None or test is None:
        return
    if task.conditioning == "text" and not captions_per_image(test):
        raise DMPError(f"{place}.data.test has no captions, which conditioning = text asks for")
    if test.resolution != source.resolution:
        raise DMPError(
            f"{place}.data.test.resolution = {test.resolution} has to be that of the source, "
            f"{source.resolution}: both are compared with the same samples"
        )


def _check_dit(backbone: BackboneConfig, task: TaskConfig, size: int, place: str) -> None:
    if size % backbone.patch_size:
        what = "images" if task.data.latents is None else "latents"
        unit = "pixel" if task.data.latents is None else "point"
        raise DMPError(
            f"{place}.backbone.patch_size = {backbone.patch_size} does not divide the "
            f"{size}-{unit} {what} of '{task.data.name}'"
        )
    if backbone.hidden_size % (4 * backbone.num_heads):
        # Heads share the width evenly, and the 2-d position embedding needs quarters of it.
        raise DMPError(
            f"{place}.backbone.hidden_size = {backbone.hidden_size} is not a multiple of "
            f"4 × num_heads = {4 * backbone.num_heads}"
        )


def check_datasets(scale: Scale, where: str) -> None:
    """Check that a name stands for one dataset.

    Raises:
        DMPError: two tasks describe a dataset of one name differently.
    """
    first: dict[str, tuple[str, TaskConfig]] = {}
    tests = {task.data.test_name.lower(): n for n, task in scale.tasks.items() if task.data.test}
    spelt: dict[str, str] = {}
    for name, task in scale.tasks.items():
        other, known = first.setdefault(task.data.name, (name, task))
        folder = task.data.name.lower()  # where file systems do not tell A from a
        if spelt.setdefault(folder, task.data.name) != task.data.name or folder in tests:
            taken = spelt[folder] if folder not in tests else f"the test of task '{tests[folder]}'"
            raise DMPError(
                f"{where}: tasks.{name}.data.name = '{task.data.name}' is the folder of {taken}; "
                f"give one of them another name"
            )
        for key in ("source", "test", "latents"):
            if getattr(known.data, key) != getattr(task.data, key):
                raise DMPError(
                    f"{where}: tasks.{name}.data.{key} is not that of task '{other}', which has a "
                    f"dataset of the same name '{task.data.name}'; give one of them another name"
                )


def resolve_variant(text: str, task: str, scale: Scale, where: str) -> Variant:
    """Check that a task and a variant exist and fit together; return the variant.

    Raises:
        UnfitVariantError: the backbone has no place for the variant, such as a depth that
            it does not have, or prompts that cannot be spread over its tokens.
        DMPError: unknown task or variant, or a second name for another variant's run.
    """
    known = {*scale.tasks, *scale.not_run}
    if task not in known:
        raise DMPError(f"{where}: unknown task '{task}': {nearest(task, known)}")
    variant = Variant.parse(text, where)
    if task in scale.tasks:
        place, config = f"{where}: variant '{text}' of task '{task}'", scale.tasks[task]
        if isinstance(config.backbone, UNetConfig):
            _fits_a_unet(variant, place)
        try:
            find_method(variant.method).check(variant.options, config)
        except UnfitError as error:
            raise UnfitVariantError(place, str(error)) from error
        except ValueError as error:
            raise DMPError(f"{place}: {error}") from error
        _has_its_baseline(variant, config, place)
        _trains(variant, config, place)
    return variant


def _has_its_baseline(variant: Variant, config: TaskConfig, where: str) -> None:
    """Refuse a decayed baseline where there is none, or where its training is to go on."""
    steps = variant.sampling.sampling_steps
    if steps is not None and steps > config.diffusion.timesteps:
        raise DMPError(
            f"{where}: sampling_steps = {steps} is more than the {config.diffusion.timesteps} "
            f"timesteps of the diffusion"
        )
    if variant.origin.recipe == PAPER:
        return
    if config.pretraining.decay is None:
        raise NoBaselineError(where, "recipe = decayed needs a task with pretraining.decay")
    if find_method(variant.method).continues:
        raise UnfitVariantError(
            where, f"recipe = decayed has ended at a rate of 0: {variant.method} cannot go on"
        )


def _trains(variant: Variant, config: TaskConfig, where: str) -> None:
    """Refuse further training that the task's iterations, curve or images do not allow."""
    if not find_method(variant.method).trains:
        return
    training, images = further_training(config, variant, where), training_images(config)
    batch = training.batch_size
    if training.resolution is not None:
        _check_resolution(variant, config, training.resolution, where)
    if images is not None and batch > images:
        raise DMPError(f"{where}: batch_size = {batch} is more than the {images} training images")


def _check_resolution(variant: Variant, config: TaskConfig, edge: int, where: str) -> None:
    """Refuse another resolution for what cannot be brought back from it."""
    place, own = f"{where}: resolution = {edge}", input_shape(config.data).size
    patch = _resized_patch(config)
    if patch is None:
        raise UnfitVariantError(place, _NOT_RESIZED)
    if variant.patch is None or variant.patch.resize == "none":
        raise DMPError(f"{place} is for prompts with resize = bilinear or bicubic")
    if edge == own:
        raise DMPError(f"{place} is the dataset's own; leave it out")
    if edge % patch:
        raise UnfitVariantError(place, f"it is not a multiple of patch_size = {patch}")


def _fits_a_unet(variant: Variant, where: str) -> None:
    """Refuse training options that need a variance, or one sequence of tokens."""
    if variant.training.loss == "hybrid":
        raise UnfitVariantError(
            where,
            "loss = hybrid trains a variance, which a U-Net does not predict; accepted: simple",
        )
    if variant.training.learning_rate_factor == "one-over-n":
        raise UnfitVariantError(
            where,
            "learning_rate_factor = one-over-n needs one number of tokens, and those of a U-Net's "
            "blocks differ; give a number",
        )


def resolve_comparisons(
    comparisons: list[Comparison], cells: list[tuple[str, str]], where: str
) -> list[Comparison]:
    """Spell out comparisons with their task and with canonical names of variants.

    Args:
        comparisons: those without a task stand for one in every task that has both variants.
        cells: (task, canonical name of the variant) of each cell of the study.
        where: the place in the file, for the message.

    Raises:
        DMPError: a comparison names cells that the study does not have.
    """
    present = set(cells)
    resolved: list[Comparison] = []
    for number, comparison in enumerate(comparisons):
        place = f"{where}.{number}"
        variant = Variant.parse(comparison.variant, place).name
        against = Variant.parse(comparison.against, place).name
        tasks = [comparison.task] if comparison.task else sorted({task for task, _ in present})
        matched = [t for t in tasks if {(t, variant), (t, against)} <= present]
        if not matched:
            raise DMPError(
                f"{place}: no task of the study has both '{variant}' and '{against}'; its cells "
                f"are {', '.join(sorted(f'{t}/{v}' for t, v in present))}"
            )
        if variant == against:
            raise DMPError(f"{place}: '{variant}' is compared with itself")
        found = [Comparison(task=t, variant=variant, against=against) for t in matched]
        if twice := [each for each in found if each in resolved]:
            raise DMPError(f"{place}: the comparison in {twice[0].task} is given twice")
        resolved += found
    return resolved
