"""The sizes of a task compared with each other: after a training it is too late."""

from collections.abc import Iterator

from dmp.config import TaskConfig, nearest
from dmp.config.evaluation import EXTRACTORS
from dmp.data.registry import dataset_info
from dmp.errors import DMPError
from dmp.metrics.registry import find_metric


def check_sizes(task: TaskConfig, place: str) -> None:
    """Compare the sizes of data, batches, metrics and networks, and check the names of metrics.

    Raises:
        DMPError: all that does not fit, each with its key, its value and what is accepted.
    """
    problems = [*_of_data(task), *_of_evaluation(task), *_of_text(task)]
    if problems:
        raise DMPError("; ".join(f"{place}.{problem}" for problem in problems))


def known_images(task: TaskConfig) -> int | None:
    """Return how many images a task's dataset has; None where no file says so before it is read."""
    data = task.data
    return dataset_info(data.name).images if data.source is None else data.source.images


def training_images(task: TaskConfig) -> int | None:
    """Return how many images a task trains on; None as :func:`known_images`."""
    count = known_images(task)
    return None if count is None else task.data.parts(count)["train"]


def _of_data(task: TaskConfig) -> Iterator[str]:
    count = known_images(task)
    if count is None:
        return
    parts = task.data.parts(count)
    for key, part in (("held_out", "held-out"), ("extractor", "extractor")):
        share = getattr(task.data, key)
        if share and parts[part] < 2:
            yield f"data.{key} = {share} of {count} images is {parts[part]}; accepted: 2 or more"
    for key in ("pretraining", "training"):
        batch = getattr(task, key).batch_size
        trained = key == "training" or task.pretraining.published is None
        if trained and batch > parts["train"]:
            yield f"{key}.batch_size = {batch} is more than the {parts['train']} training images"


def _of_evaluation(task: TaskConfig) -> Iterator[str]:
    evaluation = task.evaluation
    samples, timesteps = task.sampling.samples, task.diffusion.timesteps
    for number, name in enumerate(evaluation.metrics):
        try:
            find_metric(name)
        except DMPError as error:
            yield f"evaluation.metrics.{number}: {error}"
    for key in ("extractor", "second_opinion"):
        network = getattr(evaluation, key)
        if network is not None and network.name not in EXTRACTORS:
            yield f"evaluation.{key}.name = '{network.name}': {nearest(network.name, EXTRACTORS)}"
    # A random network stands for any, where nothing is downloaded.
    same = evaluation.second_opinion == evaluation.extractor
    if same and evaluation.extractor.name != "random-network":
        yield f"evaluation.second_opinion is the extractor itself, {evaluation.extractor.name}"
    limits = [
        ("bins", timesteps, "timesteps of the diffusion"),
        ("gate_timesteps", timesteps, "timesteps of the diffusion"),
        ("timesteps_per_image", timesteps, "timesteps of the diffusion"),
        ("splits", samples, "samples of sampling.samples"),
        ("kid_subset_size", samples, "samples of sampling.samples"),
        # An image is no neighbour of itself.
        ("neighbours", samples - 1, "others of sampling.samples"),
    ]
    known = _real_images(task)
    if known is not None:
        what = "real images that samples are compared with"
        limits.append(("kid_subset_size", known, what))
        limits.append(("neighbours", known - 1, f"others among the {what}"))
    for key, most, what in limits:
        value = getattr(evaluation, key)
        if value > most:
            yield f"evaluation.{key} = {value} is more than the {most} {what}"


def _of_text(task: TaskConfig) -> Iterator[str]:
    text = task.text
    if text is not None and text.encoder == "built" and text.hidden_size % text.heads:
        yield (
            f"text.hidden_size = {text.hidden_size} is not a multiple of text.heads = {text.heads}"
        )


def _real_images(task: TaskConfig) -> int | None:
    """Return with how many real images KID, precision and recall compare, at most.

    None where it is not known before a file is read.
    """
    evaluation, data = task.evaluation, task.data
    if evaluation.reference_file is not None:
        return None
    if evaluation.reference == "test":
        count = None if data.test is None else data.test.images
    else:
        count = known_images(task)
    if count is None:
        return evaluation.reference_features
    parts = data.parts(count)
    return min(parts.get(evaluation.reference, parts["all"]), evaluation.reference_features)
