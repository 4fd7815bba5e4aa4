"""MS-COCO: images, and beside them a ``captions_*.json`` with several captions of each."""

import json
from pathlib import Path, PurePosixPath

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import clean, orphaned
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
        captions = _read(path.parent / (config.captions or ""))
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
        data = json.loads(path.read_text(encoding="utf-8"))
        names = {entry["id"]: entry["file_name"] for entry in data["images"]}
        captions: dict[str, list[str]] = {name: [] for name in names.values()}
        for entry in sorted(data["annotations"], key=lambda entry: entry["id"]):
            captions[names[entry["image_id"]]] += clean([entry["caption"]])
    except OSError as error:
        raise DMPError(f"the captions {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DMPError(
            f"{path} does not hold captions as COCO's captions_*.json do, each of an image that is "
            f"listed ({type(error).__name__}: {error}); download it again"
        ) from error
    return captions
