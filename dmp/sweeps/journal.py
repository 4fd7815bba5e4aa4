"""Optuna's journal with a seal beside it: appends are whole, and a changed byte is noticed."""

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from dmp import seals
from dmp.files import Advice, damaged

ADVICE = Advice(
    damaged="copy it again from where it comes from, or move it away: the search then begins anew, "
    "and takes over every run that has been computed"
)


class SealedJournal(JournalFileBackend):
    """A journal in a file that other programs of Optuna can read.

    The seal is renewed with every append, under the journal's own lock; before the append it says
    as well what the file was, so that what a kill leaves half-written is known, and is cut off.
    What another program of Optuna appends, such as its dashboard, is taken in with the next append.

    Args:
        path: the file; made if there is none.
        grace_seconds: after so long, a lock on the journal is released by force.

    Raises:
        DMPError: the journal is not what was written.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, grace_seconds: int) -> None:
        self._path = path
        super().__init__(str(path), JournalFileOpenLock(str(path), grace_period=grace_seconds))
        with self._alone():
            content = self._mended()
        previous = b""
        for number, line in enumerate(content.split(b"\n")[:-1], start=1):
            try:
                # Nothing happens twice at one time.
                if line == previous and b'"datetime_' in line:
                    raise ValueError("it is there twice")
                previous = line
                if not isinstance(json.loads(line)["op_code"], int):
                    raise TypeError("no operation of a search")
            except (LookupError, RecursionError, TypeError, ValueError) as error:
                raise damaged(path, ValueError(f"line {number}: {error}"), ADVICE) from error

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations, all or none."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._alone():
            before = self._mended()
            after = before + text
            old, new = (f"{_digest(each)} {len(each)}" for each in (before, after))
            seals.put(self._path, [old, new])
            with self._path.open("ab") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            seals.put(self._path, [new])

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield operations from a number on."""
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as error:
            raise damaged(self._path, error, ADVICE) from error

    def _mended(self) -> bytes:
        """Return what the journal holds, without what a kill left half-written."""
        content = self._path.read_bytes()
        # A journal of an earlier version has no seal: what is half-written is its last line.
        whole = content[: content.rfind(b"\n") + 1]
        known = self._sealed()
        if known:
            fitting = [n for n, digest in known if digest == _digest(content[:n])]
            if not fitting:
                raise damaged(self._path, seals.BrokenSealError(), ADVICE)
            sealed = max(fitting)
            if sealed < max(n for n, _ in known):
                whole = content[:sealed]
            elif content[sealed:] and content[sealed:].split(b"\n")[0] == _last(content[:sealed]):
                raise damaged(self._path, seals.BrokenSealError(), ADVICE)
        if len(whole) < len(content):
            with self._path.open("rb+") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())
        return whole

    def _sealed(self) -> list[tuple[int, str]]:
        """Return length and digest of what the journal may be; none if it has no seal."""
        try:
            lines = seals.beside(self._path).read_text(encoding="ascii").splitlines()
            found = [(int(length), digest) for digest, length in map(str.split, lines)]
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise damaged(self._path, seals.BrokenSealError(), ADVICE) from error
        if not found:
            raise damaged(self._path, seals.BrokenSealError(), ADVICE)
        return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _last(content: bytes) -> bytes:
    """Return the last line."""
    return content.removesuffix(b"\n").split(b"\n")[-1]
