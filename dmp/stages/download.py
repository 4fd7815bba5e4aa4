"""What a scale needs from elsewhere: models are fetched, and those datasets that are asked for.

Compute nodes often have no network: this runs on a node that has one, before anything else.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dmp.config import TaskConfig, nearest
from dmp.data import autoencoder, textencoder
from dmp.data.fetching import LOGIN, fetch, is_there, origins
from dmp.data.formats import find_format
from dmp.data.offline import pretrained_folder
from dmp.errors import DMPError
from dmp.studies import Plan


@dataclass(frozen=True)
class Requirement:
    """One thing that a scale needs.

    Attributes:
        place: where it lies, or should.
        missing: why it is not there, and where to get it; empty if it is there.
    """

    name: str
    place: str
    missing: str = ""


def download(
    plan: Plan, data: Path, datasets: Collection[str] = (), accepted: Collection[str] = ()
) -> list[Requirement]:
    """Fetch the pretrained models of a scale and some of its datasets, and look for what it needs.

    Models come from the Hugging Face hub through its own library, into its own cache. A dataset is
    fetched if it is asked for, the scale says from where, and its licence is accepted. Published
    weights are not fetched.

    Args:
        datasets: names of those to be fetched.
        accepted: licences that a person has accepted.

    Raises:
        DMPError: a name in ``datasets`` or ``accepted`` is none of the scale's.
    """
    sources = plan.sources()
    for name in datasets:
        plan.source(name)
    licences = {s.download.licence for s in sources.values() if s.download and s.download.licence}
    for licence in accepted:
        if licence not in licences:
            hint = nearest(licence, licences) if licences else "none has to be accepted here"
            raise DMPError(
                f"--accept-licence '{licence}': no dataset of scale '{plan.name}' has it: {hint}"
            )
    needs = _models(plan, data)
    for name, source in sources.items():
        missing = ""
        if not is_there(source, data):
            missing = _dataset(plan, name, data, name in datasets, accepted)
        needs.append(Requirement(f"dataset {name}", str(data / source.path), missing))
    for name, task in plan.scale.tasks.items():
        files = {
            "published weights": _published_file(task),
            "reference": task.evaluation.reference_file,
            "extractor": task.evaluation.extractor.weights,
        }
        for kind, file in files.items():
            if file:
                missing = "" if (data / file).exists() else "put it there; it is not downloaded"
                needs.append(Requirement(f"{kind} of {name}", str(data / file), missing))
    return needs


def _dataset(plan: Plan, name: str, data: Path, wanted: bool, accepted: Collection[str]) -> str:
    """Fetch a dataset that is not there, and return why it still is not; empty if it now is."""
    source = plan.source(name)
    if source.download is None:
        reader = find_format(source.format)
        return f"{reader.expected} is needed. {reader.origin}"
    needed = "; ".join(origins(source, source.download, data))
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return f"offline, since HF_HUB_OFFLINE is set: nothing is fetched. Needed: {needed}"
    licence, page = source.download.licence, source.download.page
    command = f"dmp download {name} --scale {plan.name}"
    if licence is not None and licence not in accepted:
        login = f", {LOGIN} of the account that accepted them" if source.download.hub else ""
        return (
            f"its licence '{licence}' has to be accepted by a person: read and accept the terms "
            f"at {page}{login}, and say so with `{command} --accept-licence '{licence}'`. That "
            f"fetches {needed}"
        )
    if not wanted:
        terms = f"; its terms of use are at {page}" if page else ""
        return f"`{command}` fetches {needed}{terms}"
    try:
        fetch(name, source, source.download, data)
    except DMPError as error:
        return str(error)
    return ""


def _published_file(task: TaskConfig) -> str | None:
    published = task.pretraining.published
    return None if published is None or published.format == "diffusers-unet" else published.path


def _models(plan: Plan, data: Path) -> list[Requirement]:
    """Find or fetch the folders of the scale's pretrained models, each once."""
    finders: dict[str, tuple[str, Callable[[], Path]]] = {}
    for task in plan.scale.tasks.values():
        if task.data.latents is not None:
            name = task.data.latents.autoencoder
            find = partial(pretrained_folder, name, autoencoder.FILES, autoencoder.KEY)
            finders[name] = ("autoencoder", find)
        if task.text is not None and task.text.name is not None:
            name = task.text.name
            find = partial(pretrained_folder, name, textencoder.FILES, textencoder.KEY)
            finders[name] = ("text encoder", find)
    for task in plan.scale.tasks.values():
        published = task.pretraining.published
        if published is not None and published.format == "diffusers-unet":
            # Here, since diffusers' models take seconds to import, which other scales are spared.
            from dmp.backbones.unet import unet_folder

            name = published.path
            finders[name] = ("U-Net", partial(unet_folder, name, data))
    found = []
    for name, (what, find) in finders.items():
        try:
            found.append(Requirement(what, str(find())))
        except DMPError as error:
            found.append(Requirement(what, name, str(error)))
    return found
