"""Where the members of a tar lie, read from its headers alone; also of tars inside a tar."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dmp.data.sources.files import AGAIN, Member
from dmp.data.sources.findings import Finding


def list_tar(path: Path, findings: list[Finding]) -> list[Member]:
    """List the members of an uncompressed tar, and of the tars that are its members.

    Args:
        path: the archive.
        findings: damage to the archive is added here; the members before it are listed all the
            same, so that one report holds all that has to be mended.

    Returns:
        members, named ``archive.tar:member`` or ``archive.tar:inner.tar:member``.

    """
    try:
        with path.open("rb") as file:
            return list(_members(file, 0, path, path.name, findings))
    except OSError as error:
        findings.append(Finding(path.name, "damage", f"cannot be read ({error.strerror})", AGAIN))
        return []


def _members(
    file: BinaryIO, start: int, path: Path, name: str, findings: list[Finding]
) -> Iterator[Member]:
    count = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                count += 1
                offset = start + info.offset_data
                if info.isfile() and info.name.endswith(".tar"):
                    with tar.extractfile(info) as inner:
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
