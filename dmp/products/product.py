"""Something that a job makes, and the record of what it was made from."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dmp.errors import DMPError
from dmp.files import write_json

# What is later, in seconds since 1970, is no time that a file system can hold everywhere.
_LAST = 2.0**33


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

    @property
    def watched(self) -> tuple[Path, ...]:
        """Everything whose time the workflow may look at."""
        return self.files if self.receipt is None else (*self.files, self.receipt)

    def exists(self) -> bool:
        """Return whether any of it is there, current or not, or is said to be."""
        return any(path.exists() for path in self.watched)

    def is_current(self, read: Callable[[Path], dict[str, Any]] | None = None) -> bool:
        """Return whether it is there, whole, and is what the plan asks for.

        Something made before what it is computed from is not. ``read`` stands in for
        :func:`read_record`.

        Raises:
            DMPError: a record is damaged, so that nothing says what the files are.

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
        finished = max(time.time(), _latest(self.made_from, _read_if_whole))
        record = {"fingerprint": self.fingerprint, "finished": finished}
        write_json(self.record, {**record, "sizes": _sizes(self.files)})


def read_record(path: Path) -> dict[str, Any]:
    """Return a record; empty if there is none.

    Raises:
        DMPError: it is damaged. What it stands for may be the work of days, which would be deleted
            if it were taken for outdated.

    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        finished, sizes = found["finished"], found["sizes"]
        whole = (
            isinstance(found["fingerprint"], str)
            and isinstance(sizes, dict)
            and all(size is None or type(size) is int for size in sizes.values())
            and type(finished) in (int, float)
            and math.isfinite(finished)
            and 0 <= finished < _LAST
        )
        why = "" if whole else "a value is not what it has to be"
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise DMPError(f"{path} cannot be read: {error.strerror}") from error
    except KeyError as error:
        why = f"it lacks {error}"
    except (ValueError, TypeError, RecursionError) as error:
        why = str(error) or type(error).__name__
    if why:
        raise DMPError(
            f"{path} is damaged ({why}), and nothing else says what the results beside it were "
            f"made from; copy it again from where they come from, or delete it to compute them anew"
        )
    return found


def _read_if_whole(path: Path) -> dict[str, Any]:
    """As :func:`read_record`, at the end of a job, which another's damage must not make fail."""
    try:
        return read_record(path)
    except DMPError:
        return {}


def _sizes(files: tuple[Path, ...]) -> dict[str, int | None]:
    """Return the size in bytes of each file, or of all files in a folder; None for what is missing.

    Hidden files of a folder are not counted: Snakemake writes one of its own there.
    """
    found: dict[str, int | None] = {}
    for path in files:
        try:
            inside = path.rglob("[!.]*") if path.is_dir() else [path]
            found[path.name] = sum(each.stat().st_size for each in inside if not each.is_dir())
        except OSError:
            found[path.name] = None
    return found


def _latest(records: tuple[Path, ...], read: Callable[[Path], dict[str, Any]]) -> float:
    return max((read(path).get("finished", 0.0) for path in records), default=0.0)
