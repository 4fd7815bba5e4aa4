"""Tar shards of images and captions, as img2dataset writes them for LAION; nothing is unpacked."""

from pathlib import Path

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import clean, orphaned
from dmp.data.sources.files import Files
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.findings import AGAIN, DamagedFileError
from dmp.data.sources.tarfiles import open_tars


@dataset_format("webdataset")
class WebDataset(FileSource):
    """Members of a shard that differ in what follows the first dot of their name are one example.

    Captions are in ``.txt``, and are read when they are asked for.
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
        super().__init__(config, path)
        names = enumerate(self._files.names)
        texts = {_example(name): number for number, name in names if name.endswith(".txt")}
        examples = [_example(self.name(index)) for index in range(len(self))]
        self._texts = [texts.get(example) for example in examples]
        alone = sorted(texts[example] for example in set(texts) - set(examples))
        self.findings += orphaned(self._files.names[number] for number in alone)

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
        try:
            return clean([self._files.read(number).decode("utf-8")])
        except UnicodeDecodeError as error:
            where = self.base / self._files.names[number]
            raise DamagedFileError(where, f"is not a caption ({error})", AGAIN) from error


def _example(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    archive, colon, file = file.rpartition(":")
    return folder + slash + archive + colon + file.partition(".")[0]
