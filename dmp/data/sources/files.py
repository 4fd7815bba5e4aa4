"""The files in a folder or a zip: listed once, then read one at a time."""

import abc
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dmp.data.sources.findings import AGAIN, DamagedFileError, Finding
from dmp.data.sources.listing import is_left_over, list_folder

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})

# No image has more bytes; what has is not read into memory to find that out.
LARGEST = 2**30


def check_size(where: Path, size: int) -> None:
    """Refuse to read what is no image by its size.

    Raises:
        DamagedFileError: it has more than ``LARGEST`` bytes.
    """
    if size > LARGEST:
        problem = f"has {size:,} bytes, and no image has more than {LARGEST:,}"
        raise DamagedFileError(where, problem, "remove it, or write the archive again")


def is_image(member: str) -> bool:
    """Return whether a file is an image: by its suffix, and not left by another tool."""
    return PurePosixPath(member).suffix.lower() in SUFFIXES and not is_left_over(member)


class Files(abc.ABC):
    """Files by number, in the order of their names.

    Attributes:
        names: sorted, with ``/`` between folders and ``:`` after an archive.
        folders: at the top of a folder, sorted; those without a file as well.
    """

    names: Sequence[str]
    folders: Sequence[str] = ()

    def member(self, index: int) -> str:
        """Return a file's name within the folder or archive that it lies in."""
        return self.names[index]

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Return a file's bytes.

        Raises:
            DamagedFileError: it cannot be read.
        """


class FolderFiles(Files):
    """All files below a folder, at any depth; see :func:`dmp.data.sources.listing.list_folder`."""

    def __init__(self, folder: Path, findings: list[Finding]) -> None:
        self._folder = folder
        self.names, self.folders = list_folder(folder, findings)

    def read(self, index: int) -> bytes:
        """Return a file's bytes."""
        path = self._folder / self.names[index]
        try:
            check_size(path, path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise DamagedFileError(path, f"cannot be read ({error.strerror})", AGAIN) from error


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

    def member(self, index: int) -> str:
        """Return a member's name within the zip."""
        return self._members[index]

    def read(self, index: int) -> bytes:
        """Return a member's bytes, whose checksum agrees with the archive's."""
        where = self._path.parent / self.names[index]
        try:
            archive, member = self._archive(), self._members[index]
            check_size(where, archive.getinfo(member).file_size)
            return archive.read(member)
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error) as error:
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


def open_files(path: Path, findings: list[Finding]) -> Files:
    """Return the files of a folder or of a zip; what is left out is added to ``findings``.

    Raises:
        DamagedFileError: it is neither, or a damaged zip.
    """
    if path.is_dir():
        return FolderFiles(path, findings)
    if path.suffix.lower() == ".zip":
        return ZipFiles(path)
    raise DamagedFileError(path, "is neither a folder nor a .zip", "unpack it, or correct 'path'")
