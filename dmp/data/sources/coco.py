"""MS-COCO: images, and a ``captions_*.json`` with several captions of each."""

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import captions_path, clean, orphaned
from dmp.data.sources.filesource import FileSource
from dmp.errors import DMPError


@dataset_format("coco")
class CocoCaptions(FileSource):
    """Images matched by their file names, whatever the folder; captions in the order of their ids.

    Raises:
        DMPError: the file with the captions is missing, or is something else.

    """

    expected = (
        "a folder or .zip of images such as train2014, and beside it the captions, such as "
        "annotations/captions_train2014.json"
    )
    origin = (
        "MS-COCO 2014: https://cocodataset.org/#download (train2014.zip, val2014.zip, "
        "annotations_trainval2014.zip; free, no registration)"
    )
    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        super().__init__(config, path)
        captions = _read(captions_path(path, config.captions or ""))
        names = (self.name(index).rpartition(":")[2] for index in range(len(self)))
        images = [PurePosixPath(name).name for name in names]
        self._captions = [captions.get(image, []) for image in images]
        self.findings += orphaned(sorted(set(captions) - set(images)))

    @classmethod
    def check(cls, config: SourceConfig, where: str) -> None:
        """Check that the captions are named."""
        super().check(config, where)
        if config.captions is None:
            raise DMPError(
                f"{where}: format 'coco' needs 'captions', such as "
                "annotations/captions_train2014.json"
            )

    @classmethod
    def captions_per_image(cls, config: SourceConfig) -> int:
        """Return 5; a few images have six or seven."""
        return 5

    def captions(self, index: int) -> list[str]:
        """Return an image's captions."""
        return self._captions[index]


def _read(path: Path) -> dict[str, list[str]]:
    """Return the captions of each image by its file name."""
    try:
        with path.open(encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        raise DMPError(f"{path} is not readable JSON ({error}); download it again") from error
    names = {entry["id"]: entry["file_name"] for entry in _list(data, "images", path, "file_name")}
    captions: dict[str, list[str]] = {name: [] for name in names.values()}
    entries = _list(data, "annotations", path, "image_id", "caption")
    unknown = Counter(e["image_id"] for e in entries if e["image_id"] not in names)
    if unknown:
        raise DMPError(
            f"{path}: {unknown.total()} captions belong to images that the file does not "
            f"list, the first to image {min(unknown)}; download it again"
        )
    for entry in sorted(entries, key=lambda entry: entry["id"]):
        captions[names[entry["image_id"]]] += clean([entry["caption"]])
    return captions


def _list(data: Any, key: str, path: Path, *fields: str) -> list[dict[str, Any]]:
    entries = data.get(key) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise DMPError(f"{path} has no list '{key}': it does not hold captions as COCO's files do")
    for number, entry in enumerate(entries):
        missing = [f for f in ("id", *fields) if not isinstance(entry, dict) or f not in entry]
        if missing:
            raise DMPError(
                f"{path}: {key}[{number}] has no '{missing[0]}'; a captions_*.json is needed, not "
                "an instances_*.json"
            )
    return entries
