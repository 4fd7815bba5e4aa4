"""What those formats share in which each image is a file, or a member of an archive."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dmp.config import SourceConfig
from dmp.data.sources.base import Source
from dmp.data.sources.files import Files, is_image, open_files
from dmp.data.sources.findings import alike, note
from dmp.data.sources.splits import check_folders

if TYPE_CHECKING:
    import numpy as np


class FileSource(Source):
    """A dataset each of whose images is a file: those are images whose suffix says so.

    Attributes:
        companions: suffixes of other files that belong to the format.
    """

    reads: ClassVar[Collection[str]] = ()
    companions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: SourceConfig, path: Path) -> None:
        import numpy as np

        super().__init__(config, path)
        self._files = self.list_files(path)
        chosen = self.choose_images()
        self._images = np.flatnonzero(np.array(chosen, bool))
        self._labels: np.ndarray | None = None
        others = [
            name
            for name, is_chosen in zip(self._files.names, chosen, strict=True)
            if not is_chosen and not name.lower().endswith(self.companions)
        ]
        self.findings += note(others, "files", "are not images of the dataset by their names")

    def list_files(self, path: Path) -> Files:
        """Return all files at a path; damage to some of them goes to ``findings``.

        Raises:
            DMPError: there is something else, or images of several splits.
        """
        files = open_files(path, self.findings)
        members = map(files.member, range(len(files.names)))
        check_folders(path, filter(is_image, members))
        return files

    def choose_images(self) -> list[bool]:
        """Return of each file whether it is an image of the dataset."""
        return [is_image(self._files.member(number)) for number in range(len(self._files.names))]

    def set_labels(self, classes: Sequence[str], folders: Sequence[str]) -> "np.ndarray":
        """Set and return labels: the place of each image's folder in ``classes``; -1 if outside."""
        import numpy as np

        numbers = {name: number for number, name in enumerate(classes)}
        self.classes = classes
        self.findings += alike(classes)
        self._labels = np.array([numbers.get(folder, -1) for folder in folders], np.int32)
        return self._labels

    def __len__(self) -> int:
        return len(self._images)

    def name(self, index: int) -> str:
        """Return where an image lies."""
        return self._files.names[self._images[index]]

    def read(self, index: int) -> bytes:
        """Return an image's bytes."""
        return self._files.read(int(self._images[index]))

    def label(self, index: int) -> int:
        """Return an image's class."""
        return 0 if self._labels is None else int(self._labels[index])
