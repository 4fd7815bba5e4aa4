"""The files in a folder or a zip: listed once, then read one at a time."""

import abc
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from dmp.data.sources.findings import AGAIN, DamagedFileError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def is_image(name: str) -> bool:
    """Return whether a name is that of an image: by its suffix, and not hidden."""
    path = PurePosixPath(name.rpartition(":")[2])
    # Archives made on a Mac hold a hidden '._x.jpg' beside each 'x.jpg'.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


class Files(abc.ABC):
    """Files by number, in the order of their names.

    Attributes:
        names: sorted, with ``/`` between folders.

    """

    names: Sequence[str]

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Return a file's bytes.

        Raises:
            DamagedFileError: it cannot be read.

        """


class FolderFiles(Files):
    """All files below a folder, at any depth.

    Raises:
        DamagedFileError: a folder cannot be listed.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = sorted(
            (Path(parent) / file).relative_to(folder).as_posix()
            # Class folders on clusters are often links to another disk.
            for parent, _, files in os.walk(folder, onerror=_unlisted, followlinks=True)
            for file in files
        )

    def read(self, index: int) -> bytes:
        """Return a file's bytes."""
        path = self._folder / self.names[index]
        try:
            return path.read_bytes()
        except OSError as error:
            raise DamagedFileError(path, f"cannot be read ({error.strerror})", AGAIN) from error


def _unlisted(error: OSError) -> NoReturn:
    why = f"the folder cannot be listed ({error.strerror})"
    raise DamagedFileError(str(error.filename), why, "make it readable") from error


class ZipFiles(Files):
    """The members of a zip, named ``archive.zip:member``.

    Raises:
        DamagedFileError: it is not a zip, or has lost its end, which holds the list of its members.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = sorted(i.filename for i in archive.infolist() if not i.is_dir())
        except (zipfile.BadZipFile, OSError) as error:
            raise DamagedFileError(path, f"cannot be opened as a zip ({error})", AGAIN) from error
        self.names = [f"{path.name}:{member}" for member in self._members]

    def read(self, index: int) -> bytes:
        """Return a member's bytes, whose checksum agrees with the archive's."""
        try:
            return self._archive().read(self._members[index])
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error) as error:
            where = self._path.parent / self.names[index]
            why = f"cannot be read from the zip ({error})"
            raise DamagedFileError(
                where, why, f"{AGAIN}: the zip is damaged or encrypted"
            ) from error

    def _archive(self) -> zipfile.ZipFile:
        # A forked process shares the position of a file that its parent opened.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self._path))
        return self._opened[1]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_opened": None}


def open_files(path: Path) -> Files:
    """Return the files of a folder or of a zip.

    Raises:
        DamagedFileError: it is neither, or a damaged zip.

    """
    if path.is_dir():
        return FolderFiles(path)
    if path.suffix.lower() == ".zip":
        return ZipFiles(path)
    raise DamagedFileError(path, "is neither a folder nor a .zip", "unpack it, or correct 'path'")
