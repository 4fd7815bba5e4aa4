"""Something that a job makes, and the record of what it was made from."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dmp.files import write_json


@dataclass(frozen=True)
class Product:
    """What one job makes, or one part of a job that makes several things.

    Attributes:
        stage: such as ``weights``.
        names: which one of the stage: for ``weights``, the task, the variant and the seed.
        compute_fingerprint: returns the fingerprint of what the plan asks for.
        record: file that says what the files were made from, and when.
        files: the files, or folders, that make it up.
        made_from: records of the products that it is computed from.
        receipt: an empty file whose time the workflow looks at in place of the others', if any.

    """

    stage: str
    names: tuple[str | int, ...]
    compute_fingerprint: Callable[[], str]
    record: Path
    files: tuple[Path, ...]
    made_from: tuple[Path, ...] = ()
    receipt: Path | None = None

    @cached_property
    def fingerprint(self) -> str:
        """What the plan asks for."""
        return self.compute_fingerprint()

    def exists(self) -> bool:
        """Return whether any of it is there, current or not."""
        return any(path.exists() for path in self.files)

    def is_current(self, read: Callable[[Path], dict[str, Any]] | None = None) -> bool:
        """Return whether it is there, whole, and is what the plan asks for.

        Something made before what it is computed from is not. ``read`` stands in for
        :func:`read_record`.
        """
        read = read or read_record
        found = read(self.record)
        if not found or found["fingerprint"] != self.fingerprint:
            return False
        if found["sizes"] != _sizes(self.files):
            return False
        return found["finished"] >= _latest(self.made_from, read)

    def mark_finished(self) -> None:
        """Write the record; call once all files are there."""
        # Clocks of several machines may differ: what follows from something is never older.
        finished = max(time.time(), _latest(self.made_from, read_record))
        record = {"fingerprint": self.fingerprint, "finished": finished}
        write_json(self.record, {**record, "sizes": _sizes(self.files)})


def read_record(path: Path) -> dict[str, Any]:
    """Return a record; empty if there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        complete = isinstance(found["fingerprint"], str) and isinstance(found["sizes"], dict)
        return found if complete and isinstance(found["finished"], float) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sizes(files: tuple[Path, ...]) -> dict[str, int | None]:
    """Return the size of each file in bytes, -1 for a folder, None for what is missing."""
    found: dict[str, int | None] = {}
    for path in files:
        try:
            found[path.name] = -1 if path.is_dir() else path.stat().st_size
        except OSError:
            found[path.name] = None
    return found


def _latest(records: tuple[Path, ...], read: Callable[[Path], dict[str, Any]]) -> float:
    return max((read(path).get("finished", 0.0) for path in records), default=0.0)
