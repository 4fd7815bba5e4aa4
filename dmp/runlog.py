"""The log of a run: one JSON record a line, appended while it runs, read by figures and MLflow."""

import json
import math
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from dmp.errors import DMPError
from dmp.files import write_error, write_text


class Point(NamedTuple):
    """One value of a metric's history; ``time_ms`` is milliseconds since the Unix epoch."""

    name: str
    value: float
    time_ms: int
    step: int


class RunLog:
    """Appends records to ``log.jsonl``.

    A resumed run first drops what was logged after its checkpoint, and a last line that a kill
    left incomplete, so that every step is logged once.
    """

    def __init__(self, path: Path, resume_step: int) -> None:
        self._path = path
        write_text(path, "".join(line + "\n" for line in _kept(path, resume_step)))
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append the values of one step; null stands for one that is not finite.

        Raises:
            DMPError: the log cannot be written.

        """
        finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
        record = {"step": step, "time": round(time.time(), 3), **finite}
        try:
            self._file.write(json.dumps(record, allow_nan=False) + "\n")
            self._file.flush()
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


def _kept(path: Path, resume_step: int) -> list[str]:
    if not path.is_file():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        if record["step"] <= resume_step:
            kept.append(line)
    return kept


def read_log(path: Path, most: int | None = None) -> list[Point]:
    """Return the history of every name in a log but ``step`` and ``time``; null is read as NaN.

    A missing log is an empty history, since a baseline trains nothing.

    Args:
        path: the log. What a kill left of its last line is dropped, as a resumed run drops it.
        most: read only so many records, evenly spaced, the first and the last among them.

    Raises:
        DMPError: a line is not a record.

    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DMPError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        json.loads(lines[-1])
    except ValueError:
        lines.pop()
    numbers = range(len(lines))
    if most is not None and len(lines) > most:
        numbers = np.linspace(0, len(lines) - 1, most).round().astype(int).tolist()
    points: list[Point] = []
    for number in numbers:
        try:
            record = json.loads(lines[number])
            step, time_ms = int(record.pop("step")), round(1000 * record.pop("time"))
            for name, value in record.items():
                number_or_nan = math.nan if value is None else float(value)
                points.append(Point(name, number_or_nan, time_ms, step))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DMPError(
                f"{path}, line {number + 1} is not a JSON object with step, time and numbers "
                f"({error!r}); delete the run's folder and run it again, or remove the line"
            ) from error
    return points
