"""Writing files so that a reader sees the old content or the new, and reading them again.

Tables are read by :mod:`dmp.tablefile`, arrays by :mod:`dmp.arrayfile`, tensors by
:mod:`dmp.tensorfile`.
"""

import contextlib
import errno
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dmp import seals
from dmp.errors import DMPError, one_line
from dmp.jsontext import not_finite, parse_json
from dmp.temporaries import temporary_path

if TYPE_CHECKING:  # it takes half a second to import
    import pandas as pd

_WHY = {
    errno.ENOSPC: "no space is left on the device; free some and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "permission denied; make the folder writable or choose another with --results",
    errno.EPERM: "permission denied; make the folder writable or choose another with --results",
    errno.EROFS: "the file system is read-only; choose another folder with --results",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.EEXIST: "a file stands where a folder is needed; move it away",
}


class MissingError(DMPError):
    """A file that is needed is not there."""


class Advice(NamedTuple):
    """What somebody who needs a file can do if it cannot be read; where it is from decides that.

    Attributes:
        absent: about a file that is not there.
        damaged: about one that is truncated or corrupt.
    """

    absent: str = ""
    damaged: str = ""


NO_ADVICE = Advice()
# For what a stage of the workflow reads, and another has written.
STAGE_OUTPUT = Advice(
    "the stage that writes it has not run",
    "copy it again from where it comes from, or delete it and run the same command again",
)

# What code raises that does not find in some data what it expects there.
NOT_UNDERSTOOD = (
    # A library asserts what it never writes itself.
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError),
    *(TypeError, ValueError),
)


def write_error(path: Path, error: OSError) -> DMPError:
    """Turn a failed write into the sentence that a user reads."""
    why = _WHY.get(error.errno or 0, error.strerror or str(error))
    return DMPError(f"cannot write {path}: {why} (nothing half-written was left there)")


@contextlib.contextmanager
def atomic_path(path: str | Path, sealed: bool | None = None) -> Generator[Path]:
    """Yield a temporary path beside ``path``; on success it is synced and renamed to ``path``.

    The temporary name keeps the suffix, since several libraries choose a format by it. The file's
    mode follows the umask, whatever mode a library gives to its files.

    Args:
        path: the file.
        sealed: whether the file gets a seal beside it; None for JSON and CSV alone, and for what
            has one; see :mod:`dmp.seals`.

    Raises:
        DMPError: the folder or the file cannot be written (full disk, no permission, ...). The
            temporary file is gone and what stood at ``path`` before still stands.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if temporary.stat().st_mode != mode:
            temporary.chmod(mode)
        with seals.renewed(path, temporary, sealed):
            temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a table atomically as CSV, without its index."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` atomically as indented JSON with sorted keys.

    Raises:
        DMPError: the file cannot be written, or a number is NaN or infinite: JSON has no such
            numbers, and other programs do not read a file that has.
    """
    try:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    except ValueError as error:
        places = [f"{place} = {number}" for place, number in not_finite(value)]
        if not places:
            raise
        raise DMPError(
            f"cannot write {path}: {', '.join(places[:3])}; a finite number is needed, or null"
        ) from error
    write_text(path, text + "\n")


def read_bytes(path: str | Path, advice: Advice = STAGE_OUTPUT) -> bytes:
    """Read a text, and compare it with its seal if it has one.

    Raises:
        MissingError: there is no file.
        DMPError: the file cannot be read, or is not what was written.
    """
    path = Path(path)
    try:
        for _ in range(2):
            content = path.read_bytes()
            # It may have been replaced between one look and the other.
            with contextlib.suppress(seals.BrokenSealError):
                seals.check_text(path, content)
                return content
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingError(told(f"{path} does not exist", advice.absent)) from error
    except OSError as error:
        raise DMPError(f"{path} cannot be read: {error.strerror or error}") from error
    raise damaged(path, seals.BrokenSealError(), advice)


def read_text(path: str | Path, advice: Advice = STAGE_OUTPUT) -> str:
    """Read UTF-8; errors as :func:`read_bytes`."""
    try:
        return read_bytes(path, advice).decode()
    except UnicodeDecodeError as error:
        raise damaged(path, error, advice) from error


def read_json(path: str | Path, advice: Advice = STAGE_OUTPUT) -> Any:
    """Read JSON.

    Raises:
        DMPError: the file cannot be read or is not JSON, which has no NaN and no infinity, in
            which no key stands twice in one place, and all text can be written again.
    """
    text = read_text(path, advice)
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise DMPError(told(f"{path} is not valid JSON ({error})", advice.damaged)) from error


@contextlib.contextmanager
def understood(path: str | Path, advice: Advice = STAGE_OUTPUT) -> Generator[None]:
    """Turn what goes wrong with the content of a file into an error that names the file.

    Raises:
        DMPError: the content is not what the file's writer puts there.
    """
    try:
        yield
    except DMPError:
        raise
    except NOT_UNDERSTOOD as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which says nothing of the file
            raise
        problem = f"{path} does not hold what it should ({error!r:.200})"
        raise DMPError(told(problem, advice.damaged)) from error


def check_seal(path: Path) -> None:
    """Compare a file with its seal, if it has one; a folder has none.

    Raises:
        DMPError: the file is not what was written, or cannot be read.
    """
    if path.suffix not in (".npz", ".safetensors"):
        if not path.is_dir():
            read_bytes(path)
        return
    try:
        seals.check(path)
    except (OSError, seals.BrokenSealError) as error:
        raise damaged(path, error) from error


def damaged(path: str | Path, error: Exception, advice: Advice = STAGE_OUTPUT) -> DMPError:
    """Return the error about a file that is there and is not what was written."""
    problem = f"{path} is truncated or corrupt ({one_line(error):.200})"
    return DMPError(told(problem, advice.damaged))


def told(problem: str, advice: str) -> str:
    """Return a problem with what can be done about it, if there is anything."""
    return f"{problem}; {advice}" if advice else problem
