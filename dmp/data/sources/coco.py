"""MS-COCO: images, and beside them a ``captions_*.json`` with several captions of each."""

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import captions_in, orphaned
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.findings import DamagedFileError, Finding, note
from dmp.errors import DMPError
from dmp.jsontext import distinct

Name = tuple[str, ...]  # the parts of a path
_RENAME = "give each image a name of its own, in both places"


@dataset_format("coco")
class CocoCaptions(FileSource):
    """Images matched by name, each with its captions in the order of their ids.

    The name that the captions give and the one that the image has must agree from the end on, as
    far as both go: ``train2014/x.jpg`` is ``x.jpg`` in a folder ``train2014``, or below any folder.

    Raises:
        DMPError: the file with the captions is missing, or is something else.
    """

    reads = ("captions",)
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
        listed = _read(path.parent / (config.captions or ""), self.findings)
        images = [_parts(self._files.member(int(number))) for number in self._images]
        fitting = _fitting(listed, images)
        several = defaultdict(list)
        for index, names in enumerate(fitting):
            if len(names) > 1:
                several_names = ", ".join("/".join(name) for name in names)
                problem = f"the captions have several such images: {several_names}"
                self.findings.append(Finding(self.name(index), "damage", problem, _RENAME))
            for name in names:
                several[name].append(self.name(index))
        for name, clashing in several.items():
            if len(clashing) > 1:
                problem = f"the captions of {'/'.join(name)} fit several images: "
                problem += ", ".join(clashing[:3]) + (", ..." if len(clashing) > 3 else "")
                self.findings.append(Finding(clashing[0], "damage", problem, _RENAME))
        self._captions = [listed[names[0]] if names else [] for names in fitting]
        self.findings += orphaned(sorted("/".join(name) for name in set(listed) - set(several)))

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


def _parts(name: str) -> Name:
    """Return the parts of a path; accents are single letters, as everywhere but on a Mac."""
    return PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/"))).parts


def _fitting(listed: Iterable[Name], images: Iterable[Name]) -> list[list[Name]]:
    """Return, for each image, the listed names that agree with its own from the end on."""
    by_file: dict[str, list[Name]] = defaultdict(list)
    for name in listed:
        by_file[name[-1]].append(name)
    found = []
    for image in images:
        names = by_file.get(image[-1], [])
        shared = [min(len(image), len(name)) for name in names]
        fitting = [n for n, k in zip(names, shared, strict=True) if n[-k:] == image[-k:]]
        found.append([image] if image in fitting else fitting)
    return found


def _read(path: Path, findings: list[Finding]) -> dict[Name, list[str]]:
    """Return the captions of each image by its file name; what is no caption is a finding."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(text, object_pairs_hook=distinct)
        names: dict[int | str, Name] = {}
        for entry in data["images"]:
            name = _parts(str(entry["file_name"] or ""))
            if not name:
                raise ValueError(f"the image with the id {entry['id']} has no name")
            if names.setdefault(_id(entry["id"]), name) != name:
                raise ValueError(f"two images have the id {entry['id']}")
        several = Counter(names.values())
        again = ["/".join(name) for name, count in several.items() if count > 1]
        done = "all captions of these are taken for the image's"
        findings += note(again, "images", "are listed under several ids", done)
        captions: dict[Name, list[str]] = {name: [] for name in names.values()}
        empty = []
        for entry in sorted(data["annotations"], key=lambda entry: _order(entry["id"])):
            where = f"{path.name}: annotation {entry['id']}"
            try:
                texts = captions_in(entry["caption"], where)
            except DamagedFileError as error:
                findings.append(error.finding(where))
                continue
            captions[names[_id(entry["image_id"])]] += texts
            empty += [] if texts else [where]
    except OSError as error:
        raise DMPError(f"the captions {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DMPError(
            f"{path} does not hold captions as COCO's captions_*.json do, each of an image that is "
            f"listed ({type(error).__name__}: {error}); download it again"
        ) from error
    findings += note(empty, "captions", "have no text")
    return captions


def _id(value: object) -> int | str:
    """Return an id, which some tools write as a text or with a decimal point."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"an id is {value!r}")
    text = str(value).removesuffix(".0")
    return int(text) if text.removeprefix("-").isdecimal() else text


def _order(value: object) -> tuple[bool, int | str]:
    """Return what sorts ids: numbers by value, before texts."""
    number = _id(value)
    return isinstance(number, str), number
