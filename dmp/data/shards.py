"""Arrays too large for memory: one ``.npy`` file per array and shard, mapped into memory to read.

A shard is what one job makes: consecutive rows of each array, and a record ``shard-00000.json``
that says what made them and what the files hash to. The record is written last: a shard without one
is not there. Once all are, they are verified and listed in ``index.json``: a cache without an index
is not finished.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dmp.errors import DMPError
from dmp.files import atomic_path, read_json, write_json
from dmp.finite import check_rows

Batches = Iterable[Mapping[str, np.ndarray]]
_MEND = "delete it and run the command that makes it again"


class Row(NamedTuple):
    """One row of an array: its shape, and the name of its dtype."""

    shape: tuple[int, ...]
    dtype: str


def share(count: int, block: int, job: int, jobs: int) -> range:
    """Return the numbers of a job's rows: whole blocks; none, if there are fewer blocks than jobs.

    Args:
        count: rows in all.
        block: rows that stay together; the last block may have fewer.
        job: which of the jobs, from 0.
        jobs: how many there are.

    """
    most = math.ceil(math.ceil(count / block) / jobs) * block
    return range(min(count, job * most), min(count, (job + 1) * most))


@dataclass(frozen=True)
class Shards:
    """Where shards lie, and what makes them.

    Attributes:
        folder: where they lie.
        identity: what decides a row besides its input: plain data, compared as a whole.
        arrays: the arrays, by name.

    """

    folder: Path
    identity: dict[str, Any]
    arrays: dict[str, Row]

    def record_path(self, number: int) -> Path:
        """Return where a shard's record lies."""
        return self.folder / f"shard-{number:05d}.json"

    def path(self, name: str, number: int) -> Path:
        """Return where a shard's rows of one array lie."""
        return self.folder / f"{name}-{number:05d}.npy"

    def write(
        self,
        number: int,
        rows: range,
        inputs: str,
        batches: Batches,
        notes: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Write a shard batch by batch: memory holds one batch.

        Args:
            number: the shard.
            rows: the numbers of its rows.
            inputs: hash of what they are made from.
            batches: consecutive rows of each array, by name.
            notes: asked once all is written: what else the record should say.

        Raises:
            DMPError: a file cannot be written, or a row is not finite; nothing half-written is
                left.

        """
        # What stands there is about to be replaced: neither would be true any longer.
        for path in (self.record_path(number), self.folder / "index.json"):
            path.unlink(missing_ok=True)
        digests = {name: hashlib.sha256() for name in self.arrays}
        with contextlib.ExitStack() as stack:
            files = {}
            for name, row in self.arrays.items():
                temporary = stack.enter_context(atomic_path(self.path(name, number)))
                files[name] = stack.enter_context(temporary.open("wb"))
                dtype = np.lib.format.dtype_to_descr(np.dtype(row.dtype))
                shape = (len(rows), *row.shape)
                header = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(files[name], header)
            # Not through a memory map: a full disk would then end the process without a word.
            for first, batch in _counted(batches, rows):
                for name, row in self.arrays.items():
                    values = np.ascontiguousarray(batch[name], dtype=row.dtype)
                    check_rows(values, f"{self.folder}: {name} of row", _overflow(row), first)
                    files[name].write(values.data)
                    digests[name].update(values.data)
        record = {
            **self._expected(rows, inputs),
            "sha256": {name: digest.hexdigest() for name, digest in digests.items()},
        }
        write_json(self.record_path(number), record | notes())

    def seal(self, count: int, inputs: Callable[[range], str], **more: Any) -> dict[str, Any]:
        """Verify every shard and list them in ``index.json``, which makes the cache complete.

        Args:
            count: rows in all.
            inputs: of the numbers of some rows, the hash of what they are made from.
            more: what else the index should say.

        Returns:
            The index.

        Raises:
            DMPError: a shard is missing, damaged, or made by something else.

        """
        (self.folder / "index.json").unlink(missing_ok=True)
        records: list[dict[str, Any]] = []
        done = 0
        while done < count:
            path = self.record_path(len(records))
            if not path.is_file():
                raise DMPError(
                    f"{path} does not exist: rows {done} to {count - 1} of {count} have not been "
                    "made; run the command that makes them"
                )
            record = read_json(path)
            rows = range(done, min(count, done + record.get("count", 0)))
            self._check(path, record, self._expected(rows, inputs(rows)))
            for name in self.arrays:
                self._verify(self.path(name, len(records)), record["sha256"][name], len(rows))
            records.append(record)
            done = rows.stop
        index = {
            "identity": self.identity,
            "arrays": {name: row._asdict() for name, row in self.arrays.items()},
            "count": count,
            "shards": records,
            **more,
        }
        write_json(self.folder / "index.json", index)
        return index

    def _expected(self, rows: range, inputs: str) -> dict[str, Any]:
        return {
            "identity": self.identity,
            "first": rows.start,
            "count": len(rows),
            "inputs": inputs,
        }

    def _check(self, path: Path, found: Any, expected: dict[str, Any]) -> None:
        for key, value in expected.items():
            if found.get(key) != value:
                raise DMPError(
                    f"{path}: the shard was made from something else: {key} = {found.get(key)!r}, "
                    f"here {value!r}; delete the folder {self.folder} and run the commands that "
                    "fill it again"
                )

    def _verify(self, path: Path, expected: str, count: int) -> None:
        values = _mapped(path)
        if len(values) != count or hashlib.sha256(values.reshape(-1).data).hexdigest() != expected:
            raise DMPError(
                f"{path} is corrupt: its content does not match its hash in the shard's record; "
                f"{_MEND}"
            )


def _counted(batches: Batches, rows: range) -> Iterable[tuple[int, Mapping[str, np.ndarray]]]:
    """Yield batches with the number of their first row; there have to be as many rows as said."""
    first = rows.start
    for batch in batches:
        yield first, batch
        first += len(next(iter(batch.values())))
    if first != rows.stop:
        raise ValueError(f"{first - rows.start} rows were made of {len(rows)}")


def _overflow(row: Row) -> str:
    return (
        f"the model that made them does not fit its input, or {row.dtype} is too narrow for what "
        f"it makes"
    )


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DMPError(f"{path} is missing, truncated or corrupt ({error}); {_MEND}") from error


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


def open_shards(folder: Path) -> tuple[dict[str, Any], dict[str, ShardedArray]]:
    """Return a finished cache's index, and its arrays by name.

    Lengths are checked here; hashes were when the index was written.

    Raises:
        DMPError: the cache is not finished, or a shard is missing or truncated.

    """
    index = read_json(folder / "index.json")
    arrays = {}
    try:
        for name, row in index["arrays"].items():
            shards = Shards(folder, index["identity"], {})
            maps = []
            for number, record in enumerate(index["shards"]):
                maps.append(_mapped(shards.path(name, number)))
                expected = (record["count"], *row["shape"])
                if maps[-1].shape != expected or maps[-1].dtype != row["dtype"]:
                    raise DMPError(
                        f"{shards.path(name, number)} holds {maps[-1].shape} {maps[-1].dtype}, but "
                        f"index.json says {expected} {row['dtype']}; delete the folder and make it "
                        "again"
                    )
            arrays[name] = ShardedArray(maps)
    except (KeyError, TypeError, AttributeError) as error:
        raise DMPError(
            f"{folder / 'index.json'} is not the index of a cache ({error!r}); delete the folder "
            f"and make it again"
        ) from error
    return index, arrays


def read_verified(path: Path, expected: str) -> np.ndarray:
    """Return a small array that stands beside the shards.

    Args:
        path: of the ``.npy`` file.
        expected: SHA-256 of its values, from the index.

    Raises:
        DMPError: it is missing or damaged.

    """
    values = np.array(_mapped(path))
    if hashlib.sha256(values.tobytes()).hexdigest() != expected:
        raise DMPError(f"{path} does not match its hash in index.json; {_MEND}")
    return values
