"""Tar shards of images and captions, as img2dataset writes them for LAION; nothing is unpacked."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import captions_in_json, captions_in_text, orphaned
from dmp.data.sources.files import SUFFIXES, Files
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.findings import Finding
from dmp.data.sources.listing import is_left_over
from dmp.data.sources.tarfiles import open_tars

_KINDS = dict.fromkeys(SUFFIXES, "image") | {".txt": "text", ".json": "json"}


class _Part(NamedTuple):
    """A file of an example: its number, and what stands between key and suffix: ``mask``."""

    number: int
    between: str


@dataset_format("webdataset")
class WebDataset(FileSource):
    """Files of a shard whose names agree up to their first dot, which is their key, are an example.

    Its image is the one whose key is followed by the suffix alone, as in ``7.jpg`` beside
    ``7.mask.png``; its captions are in the ``.txt`` or, without one, in the ``.json``, and are read
    when they are asked for. Where names have dots of their own, as in ``shot 2.0.jpg`` beside
    ``shot 2.5.jpg``, several examples have one key, and all of them are damage.
    """

    expected = "a folder of .tar shards with images and captions"
    origin = (
        "LAION: the links are at https://huggingface.co/laion, where the terms of the (gated) "
        "dataset have to be accepted; img2dataset (https://github.com/rom1504/img2dataset) "
        "downloads the images with --image_size 512 --output_format webdataset"
    )
    companions = (".txt", ".json", ".cls")
    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        self._texts: list[int | None] = []
        super().__init__(config, path)

    @classmethod
    def captions_per_image(cls, config: SourceConfig) -> int:
        """Return 1: what was found on the web has one."""
        return 1

    def list_files(self, path: Path) -> Files:
        """Return the members of the shards."""
        return open_tars(path, self.findings)

    def choose_images(self) -> list[bool]:
        """Return of each file whether it is the image of an example; find the captions, too."""
        texts: dict[int, int | None] = {}
        alone: list[int] = []
        # Names that begin alike stand together.
        for key, numbers in groupby(range(len(self._files.names)), self._key):
            parts = defaultdict(list)
            for number in numbers:
                between, _, suffix = self._files.names[number][len(key) + 1 :].rpartition(".")
                kind = _KINDS.get(f".{suffix.lower()}")
                if kind is not None and not is_left_over(self._files.member(number)):
                    parts[kind].append(_Part(number, between))
            clashing = _clashing(parts)
            image, text, notes = (_one(parts[kind]) for kind in ("image", "text", "json"))
            if clashing:
                names = [self._files.names[part.number] for part in clashing]
                problem = f"{len(names)} files have the key '{key}', which ends at the first dot: "
                problem += ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                remedy = "rename them, with no dot but that of the suffix"
                self.findings.append(Finding(names[0], "damage", problem, remedy))
            elif image is not None:
                texts[image] = notes if text is None else text
            elif text is not None:
                alone.append(text)
        self.findings += orphaned(self._files.names[number] for number in sorted(alone))
        self._texts = [texts[number] for number in sorted(texts)]
        return [number in texts for number in range(len(self._files.names))]

    def _key(self, number: int) -> str:
        """Return the name of a file up to the first dot after its folder."""
        file = PurePosixPath(self._files.member(number)).name
        return self._files.names[number].removesuffix(file) + file.partition(".")[0]

    def captions(self, index: int) -> list[str]:
        """Return an image's captions."""
        number = self._texts[index]
        if number is None:
            return []
        name, data = self._files.names[number], self._files.read(number)
        read = captions_in_json if name.lower().endswith(".json") else captions_in_text
        return read(data, str(self.base / name))


def _one(parts: Sequence[_Part]) -> int | None:
    """Return the number of the one file of a kind, or of the one with its suffix alone."""
    plain = [part for part in parts if not part.between] if len(parts) > 1 else parts
    return plain[0].number if plain else None


def _clashing(parts: dict[str, list[_Part]]) -> list[_Part]:
    """Return the files of a kind if they are of several examples; none if they are of one.

    They are if several have nothing but their suffix, or none has, or if what stands between is a
    number, or an image has a caption of its own there.
    """
    captioned = {part.between for kind in ("text", "json") for part in parts[kind]} - {""}
    for kind, found in list(parts.items()):
        betweens = [part.between for part in found]
        own = kind == "image" and captioned & set(betweens)
        if len(found) > 1 and (betweens.count("") != 1 or own or any(map(str.isdecimal, betweens))):
            return found
    return []
