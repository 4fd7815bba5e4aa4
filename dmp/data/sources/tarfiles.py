"""Members of uncompressed tars, found by their headers and read by seeking; also in nested tars."""

import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from dmp.data.sources.files import LARGEST, Files, check_size, is_image
from dmp.data.sources.findings import AGAIN, DamagedFileError, Finding, note
from dmp.data.sources.listing import is_left_over, list_named
from dmp.data.sources.splits import check_files


class Member(NamedTuple):
    """Where a tar's member lies: ``size`` bytes from ``offset`` on in the file ``archive``.

    Its own name begins after ``inside`` letters of ``name``.
    """

    name: str
    archive: str
    offset: int
    size: int
    inside: int


class TarFiles(Files):
    """The members of uncompressed tars, from an index of 28 bytes and a name for each."""

    def __init__(self, folder: Path, members: Iterable[Member]) -> None:
        import numpy as np

        self._folder = folder
        members = sorted(members)
        self._archives = sorted({member.archive for member in members})
        numbers = {archive: number for number, archive in enumerate(self._archives)}
        self.names = [member.name for member in members]
        self._archive = np.array([numbers[member.archive] for member in members], np.int32)
        self._place = np.array([member[2:] for member in members], np.int64).reshape(-1, 3)

    def member(self, index: int) -> str:
        """Return a member's name within the innermost tar."""
        return self.names[index][int(self._place[index, 2]) :]

    def read(self, index: int) -> bytes:
        """Return a member's bytes."""
        path = self._folder / self._archives[self._archive[index]]
        where = self._folder / self.names[index]
        offset, size, _ = self._place[index].tolist()
        try:
            with path.open("rb") as file:
                check_size(where, min(size, os.fstat(file.fileno()).st_size - offset))
                file.seek(offset)
                data = file.read(min(size, LARGEST))
        except OSError as error:
            raise DamagedFileError(where, f"cannot be read ({error.strerror})", AGAIN) from error
        if len(data) != size:
            problem = f"the archive ends after {len(data)} of the file's {size} bytes"
            raise DamagedFileError(where, problem, f"{AGAIN}: {path.name} is truncated")
        return data


def open_tars(path: Path, findings: list[Finding]) -> TarFiles:
    """Return the members of a tar, or of all tars below a folder.

    Args:
        findings: what is left out is added here, and damage to a tar: the members before it are
            listed all the same, since one report holds all that has to be mended.

    Returns:
        members, named ``archive.tar:member`` or ``archive.tar:inner.tar:member``.

    Raises:
        DMPError: it is a file of another name, or there are tars of several splits.
    """
    root, tars, names = list_named(path, ".tar", "decompress it, or correct 'path'", findings)
    findings += note(sorted({*names} - {*tars}), "files", "are not .tar")
    findings += check_files(root, tars, alone=path != root)
    return TarFiles(root, (member for tar in tars for member in _list_tar(root, tar, findings)))


def _list_tar(root: Path, name: str, findings: list[Finding]) -> list[Member]:
    try:
        with (root / name).open("rb") as file:
            return list(_members(file, 0, name, name, findings))
    except OSError as error:
        findings.append(Finding(name, "damage", f"cannot be read ({error.strerror})", AGAIN))
        return []


def _members(
    file: IO[bytes], start: int, archive: str, name: str, findings: list[Finding]
) -> Iterator[Member]:
    count = 0
    links: list[tarfile.TarInfo] = []

    def member(own: str, info: tarfile.TarInfo) -> Member:
        return Member(f"{name}:{own}", archive, start + info.offset_data, info.size, len(name) + 1)

    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                count += 1
                nested = info.isfile() and info.name.endswith(".tar")
                inner = tar.extractfile(info) if nested and not is_left_over(info.name) else None
                if inner is not None:
                    inside = start + info.offset_data
                    with inner:
                        yield from _members(inner, inside, archive, f"{name}:{info.name}", findings)
                elif info.isfile():
                    yield member(info.name, info)
                elif info.islnk() or info.issym():
                    links.append(info)
            file.seek(tar.offset)
            # The library takes a header that it cannot read for the end of the archive.
            whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
            files = {info.name: info for info in tar.getmembers() if info.isfile()} if links else {}
        for link in links:
            # A hard link is named from the top of the archive, another from where it stands.
            above = PurePosixPath() if link.islnk() else PurePosixPath(link.name).parent
            named = (link.linkname, posixpath.normpath(above / link.linkname))
            target = next((files[n] for n in named if n in files), None)
            if target is not None:
                yield member(link.name, target)
            elif is_image(link.name):
                problem = f"is a link to {link.linkname}, which is not in the archive"
                remedy = "write the archive again, with the file itself"
                findings.append(Finding(f"{name}:{link.name}", "damage", problem, remedy))
        problem = None if whole else "has no end mark: truncated, or a damaged header"
    except tarfile.TarError as error:
        problem = f"cannot be read as an uncompressed tar ({error})"
    if problem is not None:
        remedy = f"{AGAIN}, and decompress it (.tar, not .tar.gz)"
        findings.append(Finding(name, "damage", f"{problem}, after {count} members", remedy))
