"""What a scale needs from elsewhere: models are downloaded, of datasets it is said where they are.

Compute nodes often have no network: this runs on a node that has one, before anything else.
"""

from dataclasses import dataclass
from pathlib import Path

from dmp.config import TaskConfig
from dmp.data import autoencoder, text
from dmp.data.offline import pretrained_folder
from dmp.data.sources.opening import FORMATS
from dmp.errors import DMPError
from dmp.studies import Plan


@dataclass(frozen=True)
class Need:
    """One thing that a scale needs.

    Attributes:
        name: what it is.
        place: where it lies, or should.
        missing: why it is not there, and where it is to be had; empty if it is there.

    """

    name: str
    place: str
    missing: str = ""


def download(plan: Plan, data: Path) -> list[Need]:
    """Download the pretrained models of a scale, and look for what else it needs.

    Models come from the Hugging Face hub through its own library, into its own cache. Datasets and
    published weights are not downloaded: their terms have to be accepted by a person.

    Args:
        plan: the scale.
        data: the folder of all datasets.

    """
    needs = [_model(*model) for model in _models(plan)] + _unets(plan, data)
    for name, source in plan.sources().items():
        path = data / source.path
        kind = FORMATS[source.format]
        missing = "" if path.exists() else f"{kind.expected} is needed. {kind.origin}"
        needs.append(Need(f"dataset {name}", str(path), missing))
    for name, task in plan.scale.tasks.items():
        files = {
            "published weights": _published_file(task),
            "reference": task.evaluation.reference_file,
            "extractor": task.evaluation.extractor.weights,
        }
        for kind, file in files.items():
            if file:
                missing = "" if (data / file).exists() else "put it there; it is not downloaded"
                needs.append(Need(f"{kind} of {name}", str(data / file), missing))
    return needs


def _published_file(task: TaskConfig) -> str | None:
    published = task.pretraining.published
    return None if published is None or published.format == "diffusers-unet" else published.path


def _unets(plan: Plan, data: Path) -> list[Need]:
    names = {
        task.pretraining.published.path
        for task in plan.scale.tasks.values()
        if task.pretraining.published and task.pretraining.published.format == "diffusers-unet"
    }
    if not names:
        return []
    # Here, since diffusers' models take seconds to import, which scales without them are spared.
    from dmp.backbones.unet import unet_folder

    needs = []
    for name in sorted(names):
        try:
            needs.append(Need("U-Net", str(unet_folder(name, data))))
        except DMPError as error:
            needs.append(Need("U-Net", name, str(error)))
    return needs


def _models(plan: Plan) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Return the scale's pretrained models: what, name, files, key of the configuration."""
    found = {}
    for task in plan.scale.tasks.values():
        if task.data.latents is not None:
            name = task.data.latents.autoencoder
            found[name] = ("autoencoder", name, autoencoder.FILES, "latents.autoencoder")
        if task.text is not None and task.text.name is not None:
            name = task.text.name
            found[name] = ("text encoder", name, text.FILES, "text.name")
    return list(found.values())


def _model(what: str, name: str, files: tuple[str, ...], key: str) -> Need:
    try:
        return Need(what, str(pretrained_folder(name, files, key)))
    except DMPError as error:
        return Need(what, name, str(error))
