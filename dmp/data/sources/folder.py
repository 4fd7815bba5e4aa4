"""Images in a folder or a zip (FFHQ), or in one folder per class (ImageNet, unpacked)."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from dmp.config import SourceConfig
from dmp.data.sources.base import Source
from dmp.data.sources.files import Files, is_image, open_files
from dmp.data.sources.findings import DamagedFileError, Finding


class FileSource(Source):
    """A dataset each of whose images is a file.

    Args:
        config: what the dataset is known to be.
        base: the folder that names are relative to.
        files: all files; those that are images by their suffix make up the dataset.
        findings: what listing them noticed.
        companions: suffixes of files that belong to the format, and are no images.

    """

    def __init__(
        self,
        config: SourceConfig,
        base: Path,
        files: Files,
        findings: Collection[Finding] = (),
        companions: Collection[str] = (),
    ) -> None:
        self.config, self.base = config, base
        self._files = files
        chosen = np.array([is_image(name) for name in files.names], dtype=bool)
        self._images = np.flatnonzero(chosen)
        self.findings = [*findings, *_left_out(files, chosen, companions)]

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """Return where an image lies."""
        return self._files.names[self._images[index]]

    def read(self, index: int) -> bytes:
        """Return an image's bytes."""
        return self._files.read(int(self._images[index]))


def open_folder(config: SourceConfig, path: Path) -> FileSource:
    """Open a folder or a zip of images, at any depth."""
    return FileSource(config, path if path.is_dir() else path.parent, open_files(path))


class ClassFolders(FileSource):
    """One folder per class, whatever lies below it; a label is a folder's number by name.

    Raises:
        DamagedFileError: the path is not a folder.

    """

    def __init__(self, config: SourceConfig, path: Path) -> None:
        if not path.is_dir():
            raise DamagedFileError(path, "is not a folder", "unpack it, or correct 'path'")
        super().__init__(config, path, open_files(path))
        # Listed apart from the files, so that a class without an image is noticed.
        self.classes = sorted(folder.name for folder in path.iterdir() if folder.is_dir())
        numbers = {name: number for number, name in enumerate(self.classes)}
        folders = [self.name(index).partition("/")[0] for index in range(len(self))]
        self._labels = np.array([numbers.get(folder, -1) for folder in folders], np.int32)
        outside = np.flatnonzero(self._labels < 0)
        empty = set(self.classes) - set(folders)
        self.findings += [
            Finding(
                self.name(index),
                "damage",
                "the image lies in no class folder",
                "move it into the folder of its class, or away",
            )
            for index in outside
        ]
        self.findings += [
            Finding(name, "damage", "the class has no image", "copy or download it again")
            for name in sorted(empty)
        ]

    def label(self, index: int) -> int:
        """Return the number of an image's class folder; -1 if it lies in none."""
        return int(self._labels[index])


def _left_out(files: Files, chosen: np.ndarray, companions: Collection[str]) -> list[Finding]:
    others = [
        name
        for name, is_chosen in zip(files.names, chosen, strict=True)
        if not is_chosen and not name.lower().endswith(tuple(companions))
    ]
    if not others:
        return []
    problem = f"{len(others)} files, of which this is the first, are no images by their suffix"
    return [Finding(others[0], "note", problem, "nothing; they are left out")]
