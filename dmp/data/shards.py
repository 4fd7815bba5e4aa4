"""Arrays too large for memory: rows in shards on disk, each written once and verified.

A shard is one ``.npy`` file per array, and a record ``shard-00000.json`` that says what made it and
what its bytes hash to. The record is written last, so a shard without one is not there. When all
are, they are verified and listed in ``index.json``: a cache without an index is not finished.
"""

import contextlib
import hashlib
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dmp.errors import DMPError
from dmp.files import atomic_path, read_json, write_json
from dmp.finite import check_rows

_CHUNK = 1 << 20  # bytes that verifying reads at once; a multiple of every item size


class Row(NamedTuple):
    """One row of an array: its shape, and the name of its dtype."""

    shape: tuple[int, ...]
    dtype: str


def _header(row: Row, count: int) -> bytes:
    """Return what a .npy file of ``count`` rows starts with."""
    file = io.BytesIO()
    description = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(row.dtype)),
        "fortran_order": False,
        "shape": (count, *row.shape),
    }
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


@dataclass(frozen=True)
class Shards:
    """How rows are cut into shards, and what makes them.

    Attributes:
        folder: where they lie.
        identity: what decides a row besides its input: plain data, compared as a whole.
        arrays: the arrays, by name.
        count: rows in all.
        size: rows per shard; the last may have fewer.

    """

    folder: Path
    identity: dict[str, Any]
    arrays: dict[str, Row]
    count: int
    size: int

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def rows(self, number: int) -> range:
        """Return the numbers of a shard's rows."""
        return range(number * self.size, min(self.count, (number + 1) * self.size))

    def record_path(self, number: int) -> Path:
        """Return where a shard's record lies."""
        return self.folder / f"shard-{number:05d}.json"

    def path(self, name: str, number: int) -> Path:
        """Return where a shard's rows of one array lie."""
        return self.folder / f"{name}-{number:05d}.npy"

    def is_done(self, number: int, inputs: str) -> bool:
        """Return whether a shard is there, of full length; its hash is left to :meth:`seal`.

        Args:
            number: the shard.
            inputs: hash of what its rows are made from.

        Raises:
            DMPError: the folder holds a shard that something else has made.

        """
        path = self.record_path(number)
        if not path.is_file():
            return False
        self._check_record(number, inputs)
        return all(
            file.is_file() and file.stat().st_size == self._bytes(row, number)
            for file, row in self._files(number)
        )

    def write(
        self,
        number: int,
        inputs: str,
        batches: Iterable[Mapping[str, np.ndarray]],
        notes: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Write a shard batch by batch, so that memory holds one batch.

        Args:
            number: the shard.
            inputs: hash of what its rows are made from.
            batches: consecutive rows of each array, by name.
            notes: asked once all is written: what else the record should say.

        Raises:
            DMPError: a file cannot be written, or a row is not finite; nothing half-written is
                left.

        """
        # What stands there is about to be replaced, and its record would no longer be true.
        self.record_path(number).unlink(missing_ok=True)
        count = len(self.rows(number))
        digests, written = {}, 0
        with contextlib.ExitStack() as stack:
            files = {}
            for name, row in self.arrays.items():
                temporary = stack.enter_context(atomic_path(self.path(name, number)))
                files[name] = stack.enter_context(temporary.open("wb"))
                files[name].write(_header(row, count))
                digests[name] = hashlib.sha256(_header(row, count))
            for batch in batches:
                for name, row in self.arrays.items():
                    values = np.ascontiguousarray(batch[name], dtype=row.dtype)
                    assert values.shape[1:] == row.shape, f"{name}: {values.shape} rows {row}"
                    first = self.rows(number).start + written
                    check_rows(values, f"{self.folder}: {name} of row", _overflow(row), first)
                    files[name].write(values.data)
                    digests[name].update(values.data)
                written += len(values)
            assert written == count, f"shard {number}: {written} rows of {count}"
        record = {
            "identity": self.identity,
            "first": self.rows(number).start,
            "count": count,
            "inputs": inputs,
            "sha256": {name: digest.hexdigest() for name, digest in digests.items()},
        }
        write_json(self.record_path(number), record | notes())

    def seal(
        self,
        inputs: Callable[[int], str],
        summary: Callable[[list[dict[str, Any]]], dict[str, Any]] = lambda records: {},
        **more: Any,
    ) -> dict[str, Any]:
        """Verify every shard and list them in ``index.json``, which makes the cache complete.

        Args:
            inputs: of each shard, the hash of what its rows are made from.
            summary: of all records, what the index should say of them together.
            more: what else it should say.

        Returns:
            The index.

        Raises:
            DMPError: a shard is missing, damaged, not finite, or made by something else.

        """
        (self.folder / "index.json").unlink(missing_ok=True)
        records = []
        for number in range(len(self)):
            if not self.record_path(number).is_file():
                raise DMPError(
                    f"{self.record_path(number)} does not exist: shard {number + 1} of "
                    f"{len(self)} has not been made; run the command that makes it"
                )
            records.append(self._check_record(number, inputs(number)))
            self._verify(number, records[-1])
        content = hashlib.sha256("".join(sorted(_hashes(records))).encode()).hexdigest()
        index = {
            "identity": self.identity,
            "arrays": {name: row._asdict() for name, row in self.arrays.items()},
            "count": self.count,
            "size": self.size,
            "sha256": content,
            "shards": records,
            **summary(records),
            **more,
        }
        write_json(self.folder / "index.json", index)
        return index

    def _files(self, number: int) -> list[tuple[Path, Row]]:
        return [(self.path(name, number), row) for name, row in self.arrays.items()]

    def _bytes(self, row: Row, number: int) -> int:
        count = len(self.rows(number))
        values = count * math.prod(row.shape)
        return len(_header(row, count)) + values * np.dtype(row.dtype).itemsize

    def _check_record(self, number: int, inputs: str) -> dict[str, Any]:
        path = self.record_path(number)
        record = read_json(path)
        rows = self.rows(number)
        expected = {
            **{f"identity.{key}": value for key, value in self.identity.items()},
            "first": rows.start,
            "count": len(rows),
            "inputs": inputs,
        }
        found = {
            f"identity.{key}": value for key, value in record.get("identity", {}).items()
        } | record
        for key, value in expected.items():
            if found.get(key) != value:
                raise DMPError(
                    f"{path}: the shard was made from something else: {key} = "
                    f"{found.get(key)!r}, here {value!r}; delete the folder {self.folder}, or "
                    f"give another one"
                )
        return record

    def _verify(self, number: int, record: Mapping[str, Any]) -> None:
        for name, row in self.arrays.items():
            path = self.path(name, number)
            mend = "delete it and run the command that makes it again"
            header = _header(row, len(self.rows(number)))
            try:
                with path.open("rb") as file:
                    size = path.stat().st_size
                    if size != self._bytes(row, number):
                        raise DMPError(
                            f"{path} is truncated or of another shape: it has {size} bytes, not "
                            f"{self._bytes(row, number)}; {mend}"
                        )
                    digest = hashlib.sha256(file.read(len(header)))
                    finite = True
                    while chunk := file.read(_CHUNK):
                        digest.update(chunk)
                        finite &= bool(np.isfinite(np.frombuffer(chunk, row.dtype)).all())
            except OSError as error:
                raise DMPError(f"{path} cannot be read: {error.strerror}; {mend}") from error
            if digest.hexdigest() != record["sha256"][name]:
                raise DMPError(
                    f"{path} is corrupt: its content does not match its hash in "
                    f"{self.record_path(number).name}; {mend}"
                )
            if not finite:
                raise DMPError(f"{path} holds values that are not finite: {_overflow(row)}")


def _overflow(row: Row) -> str:
    return (
        f"the model that made them does not fit its input, or {row.dtype} is too narrow for what "
        f"it makes"
    )


def _hashes(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"{record['first']} {name} {value}\n"
        for record in records
        for name, value in record["sha256"].items()
    ]


class ShardedArray:
    """One array of a finished cache, memory-mapped: ``array.take(rows)``.

    Attributes:
        shape: of one row.
        dtype: of its values.

    """

    def __init__(self, maps: list[np.ndarray], size: int, count: int) -> None:
        self._maps, self._size, self._count = maps, size, count
        self.shape, self.dtype = maps[0].shape[1:], maps[0].dtype

    def __len__(self) -> int:
        return self._count

    def merged(self) -> "ShardedArray":
        """Return the same values with a row's first axis as rows: row r becomes r·k ... r·k+k-1."""
        k = self.shape[0]
        maps = [values.reshape(-1, *self.shape[1:]) for values in self._maps]
        return ShardedArray(maps, self._size * k, self._count * k)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return rows by number, in any order, repeated or not: ``(len(rows), *shape)``.

        Raises:
            IndexError: there is no such row.

        """
        rows = np.asarray(rows, dtype=np.int64)
        out = np.empty((len(rows), *self.shape), self.dtype)
        if not len(rows):
            return out
        if rows.min() < 0 or rows.max() >= self._count:
            raise IndexError(f"rows lie in 0 ... {self._count - 1}")
        shards, offsets = np.divmod(rows, self._size)
        # One copy per row, straight to its place: rows are too long for their number to matter.
        places = zip(shards.tolist(), offsets.tolist(), strict=True)
        for place, (shard, offset) in enumerate(places):
            out[place] = self._maps[shard][offset]
        return out


def open_shards(folder: Path) -> tuple[dict[str, Any], dict[str, ShardedArray]]:
    """Return a finished cache's index, and its arrays by name.

    Lengths are checked here; hashes were when the index was written.

    Raises:
        DMPError: the cache is not finished, or a shard is missing or truncated.

    """
    index = read_json(folder / "index.json")
    shards = _described(folder, index)
    arrays = {}
    for name, row in shards.arrays.items():
        maps = []
        for number in range(len(shards)):
            path = shards.path(name, number)
            try:
                values = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise DMPError(
                    f"{path} is missing, truncated or corrupt ({error}); delete it and run the "
                    f"command that makes it again"
                ) from error
            expected = (len(shards.rows(number)), *row.shape)
            if values.shape != expected or values.dtype != row.dtype:
                raise DMPError(
                    f"{path} holds {values.shape} {values.dtype}, but index.json says {expected} "
                    f"{row.dtype}; delete the folder and make it again"
                )
            maps.append(values)
        arrays[name] = ShardedArray(maps, shards.size, shards.count)
    return index, arrays


def _described(folder: Path, index: Mapping[str, Any]) -> Shards:
    try:
        arrays = {
            name: Row(tuple(row["shape"]), row["dtype"]) for name, row in index["arrays"].items()
        }
        return Shards(folder, index["identity"], arrays, index["count"], index["size"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DMPError(
            f"{folder / 'index.json'} is not the index of a cache ({error!r}); delete the folder "
            f"and make it again"
        ) from error
