"""Members of uncompressed tars, found by their headers and read by seeking; also in nested tars."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from dmp.data.sources.files import Files
from dmp.data.sources.findings import AGAIN, DamagedFileError, Finding


class Member(NamedTuple):
    """Where a tar's member lies: ``size`` bytes from ``offset`` on in the file ``archive``."""

    name: str
    archive: Path
    offset: int
    size: int


class TarFiles(Files):
    """The members of uncompressed tars, from an index of 20 bytes and a name for each."""

    def __init__(self, members: Iterable[Member]) -> None:
        import numpy as np

        members = sorted(members)
        self._archives = sorted({member.archive for member in members})
        numbers = {archive: number for number, archive in enumerate(self._archives)}
        self.names = [member.name for member in members]
        self._archive = np.array([numbers[member.archive] for member in members], np.int32)
        self._place = np.array([member[2:] for member in members], np.int64).reshape(-1, 2)

    def read(self, index: int) -> bytes:
        """Return a member's bytes."""
        path = self._archives[self._archive[index]]
        where = path.parent / self.names[index]
        offset, size = self._place[index].tolist()
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise DamagedFileError(where, f"cannot be read ({error.strerror})", AGAIN) from error
        if len(data) != size:
            problem = f"the archive ends after {len(data)} of the file's {size} bytes"
            raise DamagedFileError(where, problem, f"{AGAIN}: {path.name} is truncated")
        return data


def open_tars(path: Path, findings: list[Finding]) -> TarFiles:
    """Return the members of a tar, or of all tars in a folder.

    Args:
        path: the tar or the folder.
        findings: damage to a tar is added here; the members before it are listed all the same: one
            report holds all that has to be mended.

    Returns:
        members, named ``archive.tar:member`` or ``archive.tar:inner.tar:member``.

    Raises:
        DamagedFileError: it is a file of another name.

    """
    if not path.is_dir() and path.suffix != ".tar":
        raise DamagedFileError(path, "is not a .tar", "decompress it, or correct 'path'")
    tars = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    return TarFiles(member for tar in tars for member in _list_tar(tar, findings))


def _list_tar(path: Path, findings: list[Finding]) -> list[Member]:
    try:
        with path.open("rb") as file:
            return list(_members(file, 0, path, path.name, findings))
    except OSError as error:
        findings.append(Finding(path.name, "damage", f"cannot be read ({error.strerror})", AGAIN))
        return []


def _members(
    file: IO[bytes], start: int, path: Path, name: str, findings: list[Finding]
) -> Iterator[Member]:
    count = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                count += 1
                offset = start + info.offset_data
                nested = info.isfile() and info.name.endswith(".tar")
                inner = tar.extractfile(info) if nested else None
                if inner is not None:
                    with inner:
                        yield from _members(inner, offset, path, f"{name}:{info.name}", findings)
                elif info.isfile():
                    yield Member(f"{name}:{info.name}", path, offset, info.size)
            file.seek(tar.offset)
            # The library takes a header that it cannot read for the end of the archive.
            whole = file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
        problem = None if whole else "has no end mark: truncated, or a damaged header"
    except tarfile.TarError as error:
        problem = f"cannot be read as an uncompressed tar ({error})"
    if problem is not None:
        remedy = f"{AGAIN}, and decompress it (.tar, not .tar.gz)"
        findings.append(Finding(name, "damage", f"{problem}, after {count} members", remedy))
