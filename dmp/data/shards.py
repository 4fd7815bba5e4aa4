"""Arrays too large for memory: one ``.npy`` file per array and shard, mapped into memory to read.

A shard is what one job makes: consecutive rows of each array, and a record ``shard-00000.json``
that says what made them and what the files hash to. Once all are there, they are verified and
listed in ``index.json``: a cache without an index is not finished.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from dmp.config import from_file
from dmp.errors import DMPError
from dmp.files import atomic_path, understood, write_json
from dmp.finite import check_rows

_MEND = "delete it and run the command that makes it again"


class Row(NamedTuple):
    """One row of an array: its shape, and the name of its dtype."""

    shape: tuple[int, ...]
    dtype: str


def share(count: int, block: int, job: int, jobs: int) -> range:
    """Return the numbers of a job's rows: whole blocks; none, if there are fewer blocks than jobs.

    Args:
        block: rows that stay together; the last block may have fewer.
        job: which of the jobs, from 0.
    """
    most = math.ceil(math.ceil(count / block) / jobs) * block
    return range(min(count, job * most), min(count, (job + 1) * most))


@dataclass(frozen=True)
class Shards:
    """Where shards lie, and what makes them.

    Attributes:
        identity: what decides the rows: plain data, compared as a whole.
        count: rows in all.
    """

    folder: Path
    identity: dict[str, Any]
    arrays: dict[str, Row]
    count: int

    def record_path(self, number: int) -> Path:
        """Return where a shard's record lies."""
        return self.folder / f"shard-{number:05d}.json"

    def write(self, number: int, rows: range, batches: Iterable[Mapping[str, np.ndarray]]) -> None:
        """Write a shard batch by batch: memory holds one batch.

        Args:
            batches: consecutive rows of each array, by name.

        Raises:
            DMPError: a file cannot be written, or a row is not finite; nothing half-written is
                left.
        """
        # What stands there is about to be replaced: neither would be true any longer.
        for path in (self.record_path(number), self.folder / "index.json"):
            path.unlink(missing_ok=True)
        digests = {name: hashlib.sha256() for name in self.arrays}
        done = rows.start
        with contextlib.ExitStack() as stack:
            files = {}
            for name, row in self.arrays.items():
                temporary = stack.enter_context(atomic_path(_path(self.folder, name, number)))
                files[name] = stack.enter_context(temporary.open("wb"))
                dtype = np.lib.format.dtype_to_descr(np.dtype(row.dtype))
                header = {"descr": dtype, "fortran_order": False, "shape": (len(rows), *row.shape)}
                np.lib.format.write_array_header_1_0(files[name], header)
            # Not through a memory map: a full disk would then end the process without a word.
            for batch in batches:
                for name, row in self.arrays.items():
                    values = np.ascontiguousarray(batch[name], dtype=row.dtype)
                    why = (
                        "the model that made them does not fit its input, or "
                        f"{row.dtype} is too narrow for what it makes"
                    )
                    check_rows(values, f"{self.folder}: {name} of row", why, done)
                    files[name].write(values.data)
                    digests[name].update(values.data)
                done += len(next(iter(batch.values())))
            if done != rows.stop:
                raise ValueError(f"{done - rows.start} rows were made of {len(rows)}")
        hashes = {name: digest.hexdigest() for name, digest in digests.items()}
        record = {"identity": self.identity, "first": rows.start, "count": len(rows)}
        write_json(self.record_path(number), {**record, "sha256": hashes})

    def seal(self, **more: Any) -> None:
        """Verify every shard and list them in ``index.json``, which makes the cache complete.

        Args:
            more: what else the index should say.

        Raises:
            DMPError: a shard is missing, damaged, or made from something else.
        """
        (self.folder / "index.json").unlink(missing_ok=True)
        counts: list[int] = []
        while (done := sum(counts)) < self.count:
            path = self.record_path(len(counts))
            if not path.is_file():
                raise DMPError(
                    f"{path} does not exist: rows {done} to {self.count - 1} of {self.count} have "
                    "not been made; run the command that makes them"
                )
            record = from_file(_Record, path)
            for key, value in (("identity", self.identity), ("first", done)):
                if getattr(record, key) != value:
                    raise DMPError(
                        f"{path}: the shard was made from something else: {key} = "
                        f"{getattr(record, key)!r}, here {value!r}; delete the folder "
                        f"{self.folder} and run the commands that fill it again"
                    )
            for name in self.arrays:
                _verify(self.folder, name, len(counts), record)
            counts.append(record.count)
        arrays = {name: row._asdict() for name, row in self.arrays.items()}
        index = {"identity": self.identity, "arrays": arrays, "counts": counts, **more}
        write_json(self.folder / "index.json", index)


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number:05d}.npy"


class _Record(BaseModel, strict=True):
    """The record of a shard."""

    identity: dict[str, Any]
    first: int
    count: int
    sha256: dict[str, str]


class _Array(BaseModel, strict=True):
    """What the index says of the rows of an array."""

    shape: list[int]
    dtype: str


class _Index(BaseModel, strict=True, extra="allow"):
    """The index of a cache, with whatever else it says."""

    identity: dict[str, Any]
    arrays: dict[str, _Array]
    counts: Annotated[list[int], Field(min_length=1)]


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses a header with the tools of Python's own parser
        raise DMPError(f"{path} is missing, truncated or corrupt ({error}); {_MEND}") from error


def _verify(folder: Path, name: str, number: int, record: _Record) -> None:
    """Compare an array of a shard with its record."""
    path = _path(folder, name, number)
    digest = hashlib.sha256(_mapped(path).reshape(-1).data).hexdigest()
    if digest != record.sha256.get(name):
        problem = "is corrupt: its content does not match its hash in the record"
        raise DMPError(f"{path} {problem}; {_MEND}")


class ShardedArray:
    """One array of a finished cache, mapped into memory: ``array.take(rows)``.

    Attributes:
        shape: of one row.
    """

    def __init__(self, maps: list[np.ndarray]) -> None:
        self._maps = maps
        self._first = np.cumsum([0, *map(len, maps)])
        self.shape: tuple[int, ...] = maps[0].shape[1:]

    def __len__(self) -> int:
        return int(self._first[-1])

    def take(self, rows: np.ndarray, part: np.ndarray | None = None) -> np.ndarray:
        """Return rows by number, in any order, repeated or not: ``(len(rows), *shape)``.

        Args:
            rows: ``(n,)`` int64.
            part: ``(n,)`` int64; of each row this entry of its first axis alone, if given.

        Raises:
            IndexError: there is no such row.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows lie in 0 ... {len(self) - 1}")
        shards = np.searchsorted(self._first, rows, side="right") - 1
        shape = self.shape if part is None else self.shape[1:]
        out = np.empty((len(rows), *shape), self._maps[0].dtype)
        for shard in np.unique(shards):
            here = shards == shard
            at = rows[here] - self._first[shard]
            out[here] = self._maps[shard][at if part is None else (at, part[here])]
        return out


def open_shards(
    folder: Path, kind: str, verify: bool = True
) -> tuple[dict[str, Any], dict[str, ShardedArray]]:
    """Return a finished cache's index, and its arrays by name.

    Args:
        kind: the ``format`` of its identity.
        verify: whether to compare every byte with what was written, which reads all of it once; not
            where another process of the job has just done it.

    Raises:
        DMPError: the cache is not finished or of another kind, or a shard is missing or damaged.
    """
    path = folder / "index.json"
    index = from_file(_Index, path)
    arrays: dict[str, ShardedArray] = {}
    if index.identity.get("format") != kind:
        raise DMPError(f"{path} is not the index of {kind}")
    with understood(path):
        for name, row in index.arrays.items():
            maps = [_mapped(_path(folder, name, n)) for n in range(len(index.counts))]
            shapes = [(count, *row.shape) for count in index.counts]
            if [m.shape for m in maps] != shapes or any(m.dtype != row.dtype for m in maps):
                raise DMPError(
                    f"{path} does not fit the files of {name}; delete the folder {folder}"
                )
            arrays[name] = ShardedArray(maps)
    for number in range(len(index.counts) if verify else 0):
        record = from_file(_Record, folder / f"shard-{number:05d}.json")
        for name in index.arrays:
            _verify(folder, name, number, record)
    return index.model_dump(), arrays
