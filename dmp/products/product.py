"""Something that a job makes, and the record of what it was made from."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from dmp.config import content_hash
from dmp.errors import DMPError
from dmp.files import Advice, MissingError, check_seal, read_bytes, write_json
from dmp.layout import Layout

# What is later, in seconds since 1970, is no time that a file system can hold everywhere.
_LAST = 2.0**33


class Record(BaseModel, strict=True, frozen=True):
    """What a product was made from, when, and the size of each of its files in bytes."""

    fingerprint: str
    finished: Annotated[float, Field(ge=0, lt=_LAST, allow_inf_nan=False)]
    sizes: dict[str, int | None]


_MEND = (
    "nothing else says what the results beside it were made from: copy it again from where they "
    "come from, or delete it to compute them anew"
)
_TRAINED = frozenset({"baseline", "decayed", "weights"})
Read = Callable[[Path], Record | None]


@dataclass(frozen=True)
class Product:
    """What one job makes, or one part of a job that makes several things.

    Attributes:
        stage: such as ``weights``.
        names: which one of the stage: for ``weights``, the task, the variant and the seed.
        compute_fingerprint: returns the fingerprint of what the plan asks for.
        record: file of a :class:`Record`.
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

    def is_current(self) -> bool:
        """Return whether it is there, whole, and is what the plan asks for."""
        return self.current(read_record) is not None

    def current(self, read: Read) -> Record | None:
        """Return its record if it is current; ``read`` stands in for :func:`read_record`.

        Something made before what it is computed from is not.

        Raises:
            DMPError: a record is damaged, so that nothing says what the files are; or one of the
                files of a training is, which would be deleted if they were taken for outdated.
        """
        found = read(self.record)
        if found is None or found.fingerprint != self.fingerprint:
            return None
        sizes = _sizes(self.files)
        if found.sizes != sizes:
            # What follows from a training is soon made again; and a file that is missing was
            # deleted to be made again.
            for path in self.files if self.stage in _TRAINED else ():
                if sizes[path.name] not in (None, found.sizes.get(path.name)):
                    check_seal(path)
            return None
        return None if found.finished < _latest(self.made_from, read) else found

    def mark_finished(self) -> None:
        """Write the record; call once all files are there."""
        # Clocks of several machines may differ: what follows from something is never older.
        finished = max(time.time(), _latest(self.made_from, _read_if_whole))
        record = Record(fingerprint=self.fingerprint, finished=finished, sizes=_sizes(self.files))
        write_json(self.record, record.model_dump())


def named(
    layout: Layout,
    stage: str,
    name: str,
    depends: Callable[[], Any],
    files: tuple[Path, ...],
    made_from: tuple[Path, ...] = (),
) -> Product:
    """Return a product of which there is one for each ``name``, such as a dataset, or only one.

    What it depends on, besides what it is made from, is whatever ``depends`` returns.
    """
    record = layout.record(f"{stage}/{name}" if name else stage)
    names = (name,) if name else ()
    return Product(stage, names, lambda: content_hash(depends()), record, files, made_from)


def read_record(path: Path) -> Record | None:
    """Return a record; None if there is none.

    Raises:
        DMPError: it is damaged. What it stands for may be the work of days, which would be deleted
            if it were taken for outdated.
    """
    try:
        return Record.model_validate_json(read_bytes(path, Advice(damaged=_MEND)))
    except MissingError:
        return None
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, e['loc']))} {e['msg']}" for e in error.errors())
        raise DMPError(f"{path} is damaged ({why.strip():.200}); {_MEND}") from error


def _read_if_whole(path: Path) -> Record | None:
    """As :func:`read_record`, at the end of a job, which another's damage must not make fail."""
    try:
        return read_record(path)
    except DMPError:
        return None


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


def _latest(records: tuple[Path, ...], read: Read) -> float:
    return max((found.finished for found in map(read, records) if found is not None), default=0.0)
