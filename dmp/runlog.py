"""The log of a run: one JSON record a line, appended while it runs, read by figures and MLflow."""

import contextlib
import json
import math
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from dmp import seals
from dmp.errors import DMPError
from dmp.files import Advice, MissingError, read_bytes, write_error, write_text

_ADVICE = Advice(
    damaged="copy it again from where it comes from, or delete it: no number depends on it"
)


class Point(NamedTuple):
    """One value of a metric's history; ``time_ms`` is milliseconds since the Unix epoch."""

    name: str
    value: float
    time_ms: int
    step: int


class RunLog:
    """Appends records to ``log.jsonl``; at its end, the log is sealed.

    A resumed run first drops what was logged after its checkpoint, and a last line that a kill
    left incomplete, so that every step is logged once. A damaged log stops no training: it is set
    aside, and what can be trusted of it is kept.
    """

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path = path
        try:
            write_text(path, "".join(f"{line}\n" for line in _kept(path, resume_step)))
            seals.unseal_text(path)
            # Nothing is buffered: what a full disk refuses is not refused again at the end.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise write_error(path, error) from error

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append the values of one step; null stands for one that is not finite.

        Raises:
            DMPError: the log cannot be written.
        """
        finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
        record = {"step": step, "time": round(time.time(), 3), **finite}
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise write_error(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        # One without a seal is read as well; and what went wrong before is what a user has to see.
        with contextlib.suppress(OSError):
            seals.seal_text(self._path)


def _kept(path: Path, resume_step: int) -> list[str]:
    """Return the lines of a log up to a step; a log that is damaged is set aside."""
    try:
        lines, why = _lines(path), ""
    except DMPError as error:
        lines, why = [], str(error)
    kept = []
    for number, line in enumerate(lines, start=1):
        try:
            if _record(path, number, line)["step"] <= resume_step:
                kept.append(line.decode())
        except DMPError as error:
            why = why or str(error)
    if why:
        aside = path.replace(path.with_stem("log-damaged"))
        seals.unseal_text(path)
        print(f"warning: {why}. It is now {aside}; {len(kept)} lines of it are kept", flush=True)
    return kept


def read_log(path: Path, most: int | None = None) -> list[Point]:
    """Return the history of every name in a log but ``step`` and ``time``; null is read as NaN.

    A missing log is an empty history, since a baseline trains nothing.

    Args:
        path: the log. What a kill left of its last line is dropped, as a resumed run drops it.
        most: read only so many records, evenly spaced, the first and the last among them.

    Raises:
        DMPError: the log is not what was written, or a line is not a record.
    """
    lines = _lines(path)
    numbers = range(len(lines))
    if most is not None and len(lines) > most:
        numbers = np.linspace(0, len(lines) - 1, most).round().astype(int).tolist()
    points: list[Point] = []
    for number in numbers:
        record = _record(path, number + 1, lines[number])
        step, time_ms = record.pop("step"), round(1000 * record.pop("time"))
        for name, value in record.items():
            points.append(Point(name, math.nan if value is None else float(value), time_ms, step))
    return points


def _lines(path: Path) -> list[bytes]:
    """Return the lines of a log, without what a kill left of the last; none if there is no log."""
    try:
        *lines, last = read_bytes(path, _ADVICE).split(b"\n")
    except MissingError:
        return []
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(last)
        lines.append(last)
    return lines


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the record in a line of a log."""
    try:
        record = json.loads(line)  # an earlier version wrote NaN and infinity as they are
        if type(record["step"]) is not int or record["step"] < 0 or record["time"] is None:
            raise ValueError("step or time")
        round(record["time"])
        for name, value in record.items():
            if type(value) not in (int, float) and value is not None:
                raise ValueError(name)
            float(value or 0)
    except (LookupError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DMPError(
            f"{path}, line {number} is not a JSON object with step, time and numbers "
            f"({error!r:.200}); {_ADVICE.damaged}"
        ) from error
    return record
