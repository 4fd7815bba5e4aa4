"""The log of a run: one JSON record a line, appended while it runs; MLflow is fed from it."""

import json
import math
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from dmp.files import write_error, write_text


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
