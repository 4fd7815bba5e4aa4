"""Tar shards of images and captions, as img2dataset writes them for LAION; nothing is unpacked."""

import json
from pathlib import Path

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import LAION, clean, orphaned
from dmp.data.sources.files import Files
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.findings import AGAIN, DamagedFileError
from dmp.data.sources.tarfiles import open_tars

# In this order: the text is the caption alone, the JSON all that is known of the image.
_CAPTIONS = (".txt", ".json")


@dataset_format("webdataset")
class WebDataset(FileSource):
    """Members of a shard that differ in what follows the first dot of their name are one example.

    Captions are read when they are asked for: from ``.txt``, or the key ``caption`` of ``.json``.
    """

    expected = "a folder of .tar shards with images and captions"
    origin = f"{LAION} --output_format webdataset"
    companions = (*_CAPTIONS, ".cls")
    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        super().__init__(config, path)
        examples = [_example(self.name(index)) for index in range(len(self))]
        texts: dict[str, int] = {}
        # Of two files with a caption the first suffix counts.
        for suffix in _CAPTIONS:
            for number, name in enumerate(self._files.names):
                if name.endswith(suffix):
                    texts.setdefault(_example(name), number)
        self._texts = [texts.get(example) for example in examples]
        self.findings += orphaned(
            self._files.names[texts[example]] for example in sorted(set(texts) - set(examples))
        )

    @classmethod
    def captions_per_image(cls, config: SourceConfig) -> int:
        """Return 1: what was found on the web has one."""
        return 1

    def list_files(self, path: Path) -> Files:
        """Return the members of the shards."""
        return open_tars(path, self.findings)

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
            raise DamagedFileError(where, f"is not a caption ({error})", AGAIN) from error
        return clean([text])


def _example(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    archive, colon, file = file.rpartition(":")
    return folder + slash + archive + colon + file.partition(".")[0]
