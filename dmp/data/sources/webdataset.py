"""Tar shards of images and captions, as img2dataset writes them for LAION; nothing is unpacked."""

import json
from pathlib import Path

from dmp.config import SourceConfig
from dmp.data.sources.captioned import clean, orphaned
from dmp.data.sources.files import TarFiles
from dmp.data.sources.findings import DamagedFileError, Finding
from dmp.data.sources.folder import FileSource
from dmp.data.sources.tarindex import list_tar
from dmp.data.sources.tars import archives

# In this order: the text is the caption alone, the JSON all that is known of the image.
_CAPTIONS = (".txt", ".json")


class WebDataset(FileSource):
    """Members of a shard that differ in what follows the first dot of their name are one example.

    Captions are read when they are asked for: from ``.txt``, or the key ``caption`` of ``.json``.
    """

    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        findings: list[Finding] = []
        base = path if path.is_dir() else path.parent
        files = TarFiles(member for tar in archives(path) for member in list_tar(tar, findings))
        super().__init__(config, base, files, findings, companions=(*_CAPTIONS, ".cls"))
        texts = {
            _example(name) + suffix: number
            for number, name in enumerate(files.names)
            for suffix in _CAPTIONS
            if name.endswith(suffix)
        }
        examples = [_example(self.name(index)) for index in range(len(self))]
        self._texts = [
            next((texts[e + suffix] for suffix in _CAPTIONS if e + suffix in texts), None)
            for e in examples
        ]
        known = set(examples)
        self.findings += orphaned(
            files.names[number]
            for key, number in texts.items()
            if key.rpartition(".")[0] not in known
        )

    def captions(self, index: int) -> list[str]:
        """Return an image's captions: one, or none."""
        number = self._texts[index]
        if number is None:
            return []
        name, data = self._files.names[number], self._files.read(number)
        try:
            text = data.decode("utf-8")
            if name.endswith(".json"):
                text = json.loads(text).get("caption") or ""
        except (ValueError, AttributeError) as error:
            where = self.base / name
            raise DamagedFileError(
                where, f"is no caption ({error})", "download it again"
            ) from error
        return clean([text])


def _example(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    archive, colon, file = file.rpartition(":")
    return folder + slash + archive + colon + file.partition(".")[0]
