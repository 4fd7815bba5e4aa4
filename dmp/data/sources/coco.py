"""MS-COCO: images, and a ``captions_*.json`` with several captions of each.

Also the evaluation set of text-to-image models: one caption of each of 30,000 images.
"""

import json
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from dmp.config import SourceConfig
from dmp.data.sources.base import Source
from dmp.data.sources.captioned import captions_path, clean, orphaned
from dmp.data.sources.files import open_files
from dmp.data.sources.folder import FileSource
from dmp.errors import DMPError
from dmp.rng import generator

EVALUATION_SIZE = 30_000


class CocoCaptions(FileSource):
    """Images matched by their file names, whatever the folder; captions in the order of their ids.

    Raises:
        DMPError: the file with the captions is missing, or is not one.

    """

    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        if config.captions is None:
            raise DMPError(
                "format 'coco' needs 'captions', such as annotations/captions_train2014.json"
            )
        base = path if path.is_dir() else path.parent
        super().__init__(config, base, open_files(path))
        captions = _read(captions_path(path, config.captions))
        images = [
            PurePosixPath(self.name(index).rpartition(":")[2]).name for index in range(len(self))
        ]
        self._captions = [captions.get(image, []) for image in images]
        self.findings += orphaned(sorted(set(captions) - set(images)))

    def captions(self, index: int) -> list[str]:
        """Return an image's captions."""
        return self._captions[index]


class EvaluationCaption(NamedTuple):
    """A caption to generate an image from.

    Attributes:
        image: number of the image that it describes.
        text: the caption.

    """

    image: int
    text: str


def evaluation_captions(
    source: Source, count: int = EVALUATION_SIZE, seed: int = 0
) -> list[EvaluationCaption]:
    """Choose ``count`` images at random, without repetition, and one caption of each at random.

    The images are the first ``count`` of a permutation drawn from (seed, "evaluation images"),
    returned in the order of their numbers; the caption of image i is drawn from (seed,
    "evaluation caption", i), so that a smaller count is a subset of a larger one.

    Raises:
        DMPError: there are fewer images than ``count``, or an image has no caption.

    """
    if len(source) < count:
        raise DMPError(
            f"{source.base}: {count} images with captions are needed for the evaluation, and there "
            f"are {len(source)} (MS-COCO val2014 has 40,504)"
        )
    chosen = np.sort(generator(seed, "evaluation images").permutation(len(source))[:count])
    return [EvaluationCaption(int(n), _one_caption(source, int(n), seed)) for n in chosen]


def _one_caption(source: Source, index: int, seed: int) -> str:
    captions = source.captions(index)
    if not captions:
        raise DMPError(f"{source.base / source.name(index)}: the image has no caption")
    return captions[generator(seed, "evaluation caption", index).integers(len(captions))]


def _read(path: Path) -> dict[str, list[str]]:
    """Return the captions of each image by its file name."""
    try:
        with path.open(encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        raise DMPError(f"{path} is not readable JSON ({error}); download it again") from error
    names = {entry["id"]: entry["file_name"] for entry in _list(data, "images", path, "file_name")}
    captions: dict[str, list[str]] = {name: [] for name in names.values()}
    unknown = defaultdict(int)
    for entry in sorted(
        _list(data, "annotations", path, "image_id", "caption"), key=lambda entry: entry["id"]
    ):
        if entry["image_id"] in names:
            captions[names[entry["image_id"]]] += clean([entry["caption"]])
        else:
            unknown[entry["image_id"]] += 1
    if unknown:
        raise DMPError(
            f"{path}: {sum(unknown.values())} captions belong to images that the file does not "
            f"list, the first to image {min(unknown)}; download it again"
        )
    return captions


def _list(data: Any, key: str, path: Path, *fields: str) -> list[dict]:
    entries = data.get(key) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise DMPError(f"{path} has no list '{key}': it is not a file of captions such as COCO's")
    for number, entry in enumerate(entries):
        missing = [f for f in ("id", *fields) if not isinstance(entry, dict) or f not in entry]
        if missing:
            raise DMPError(
                f"{path}: {key}[{number}] has no '{missing[0]}'; a captions_*.json is needed, not "
                "an instances_*.json"
            )
    return entries
