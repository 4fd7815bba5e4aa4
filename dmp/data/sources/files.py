"""The files in a folder, a zip or some tars: listed once, then read one at a time."""

import abc
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import numpy as np

from dmp.data.sources.findings import DamagedFileError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
AGAIN = "copy or download it again"


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


def _unlisted(error: OSError) -> None:
    why = f"the folder cannot be listed ({error.strerror})"
    raise DamagedFileError(error.filename, why, "make it readable") from error


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


class Member(NamedTuple):
    """Where a tar's member lies: ``size`` bytes from ``offset`` on in the file ``archive``."""

    name: str
    archive: Path
    offset: int
    size: int


class TarFiles(Files):
    """The members of uncompressed tars, read by seeking, from an index of 20 bytes and a name."""

    def __init__(self, members: Iterable[Member]) -> None:
        members = sorted(members)
        self._archives = sorted({member.archive for member in members})
        numbers = {archive: number for number, archive in enumerate(self._archives)}
        self.names = [member.name for member in members]
        self._archive = np.array([numbers[member.archive] for member in members], np.int32)
        self._offset = np.array([member.offset for member in members], np.int64)
        self._size = np.array([member.size for member in members], np.int64)

    def read(self, index: int) -> bytes:
        """Return a member's bytes."""
        path, size = self._archives[self._archive[index]], int(self._size[index])
        where = path.parent / self.names[index]
        try:
            with path.open("rb") as file:
                data = _read_at(file, int(self._offset[index]), size)
        except OSError as error:
            raise DamagedFileError(where, f"cannot be read ({error.strerror})", AGAIN) from error
        if len(data) != size:
            problem = f"the archive ends after {len(data)} of the file's {size} bytes"
            raise DamagedFileError(where, problem, f"{AGAIN}: {path.name} is truncated")
        return data


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


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
