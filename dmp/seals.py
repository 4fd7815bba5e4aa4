"""Seals: by the SHA-256 of a file, whoever reads it notices that a byte of it has changed.

Files of tensors and arrays carry theirs inside, wherever they are copied to: safetensors in the
header, ``.npz`` in the archive's comment. It is the digest of the whole file with its own digits as
zeros. Text has it in a hidden file beside it, such as ``.metrics.csv.sha256``, so that other
programs read the text as it is.

A file without a seal is read too: earlier versions wrote none.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

_MARK, _ZEROS = b"dmp-sha256:", b"0" * 64
# What stands in a file until its seal is filled in.
BLANK = (_MARK + _ZEROS).decode()
# Text that the program reads again.
_TEXTS = frozenset({".csv", ".json"})
_CHUNK = 1 << 20


class BrokenSealError(ValueError):
    """A file is not what was written."""

    def __init__(self) -> None:
        super().__init__("its content does not match its checksum")


def fill(path: Path) -> None:
    """Seal a file that holds :data:`BLANK`: a safetensors in its header, an ``.npz`` at its end."""
    with path.open("rb+") as file:
        place = _place(file, path.suffix)
        if place is None:
            raise ValueError(f"{path} has no place for a seal")
        digits = _digest(file, place)
        file.seek(place)
        file.write(digits)


def check(path: Path) -> bool:
    """Return whether a file of tensors or arrays has a seal inside.

    Raises:
        BrokenSealError: its content is not what was sealed.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        place = _place(file, path.suffix)
        if place is None:
            if path.suffix == ".safetensors" and not _has_its_length(file):
                raise BrokenSealError
            return False
        file.seek(place)
        if file.read(len(_ZEROS)) != _digest(file, place):
            raise BrokenSealError
    return True


def _place(file: IO[bytes], suffix: str) -> int | None:
    """Return where the digits of a seal begin; None if there is none."""
    size = file.seek(0, os.SEEK_END)
    if suffix == ".npz":
        start = size - len(BLANK)
    else:
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        start = 8 + file.read(min(length, size)).rfind(_MARK) if length < size else -1
        if start < 8:
            return None
    file.seek(max(start, 0))
    return start + len(_MARK) if file.read(len(_MARK)) == _MARK else None


def _has_its_length(file: IO[bytes]) -> bool:
    """Return whether a safetensors file without a seal is as long as its header says."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(min(length, size)))
        header.pop("__metadata__", None)
        end = max((each["data_offsets"][1] for each in header.values()), default=0)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return False
    return size == 8 + length + end


def _digest(file: IO[bytes], place: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while left := place - file.tell():
        digest.update(file.read(min(left, _CHUNK)))
    digest.update(_ZEROS)
    file.seek(len(_ZEROS), os.SEEK_CUR)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest().encode()


def beside(path: Path) -> Path:
    """Return where the seal of a text lies."""
    return path.with_name(f".{path.name}.sha256")


def check_text(path: Path, content: bytes) -> None:
    """Compare the content of a text with the seal beside it, if it has one.

    Raises:
        BrokenSealError: the content is not what was sealed, or the seal itself is damaged.
        OSError: the seal cannot be read.
    """
    known = _known(path)
    if known and hashlib.sha256(content).hexdigest() not in known:
        raise BrokenSealError


def _known(path: Path) -> list[str]:
    """Return the digests of what a text may be; none if it has no seal."""
    try:
        digits = beside(path).read_bytes()
    except FileNotFoundError:
        return []
    if not re.fullmatch(rb"([0-9a-f]{64}\n)+", digits):
        raise BrokenSealError
    return digits.decode().split()


def seal_text(path: Path) -> None:
    """Seal a text as it is."""
    put(path, [hashlib.sha256(path.read_bytes()).hexdigest()])


def unseal_text(path: Path) -> None:
    """Remove the seal of a text that is about to change."""
    beside(path).unlink(missing_ok=True)


@contextlib.contextmanager
def renewed(path: Path, new: Path, sealed: bool | None = None) -> Generator[None]:
    """Seal a text while ``new`` takes its place; a kill at any moment leaves a seal that fits.

    Args:
        path: the text.
        new: its new content.
        sealed: whether to seal it; None for what the program reads again, and what has a seal.
    """
    if sealed is None:
        sealed = path.suffix in _TEXTS or beside(path).exists()
    if not sealed:
        unseal_text(path)
        yield
        return
    digests = [hashlib.sha256(new.read_bytes()).hexdigest()]
    with contextlib.suppress(OSError, BrokenSealError):
        old = hashlib.sha256(path.read_bytes()).hexdigest()
        # What was damaged before stays so.
        if old not in digests and old in (_known(path) or [old]):
            digests.append(old)
    put(path, digests)
    yield
    if len(digests) > 1:
        put(path, digests[:1])


def put(path: Path, lines: Sequence[str]) -> None:
    """Write the seal of a text."""
    seal = beside(path)
    temporary = seal.with_name(f"{seal.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(seal)
    finally:
        temporary.unlink(missing_ok=True)
