"""Metric histories from the files of a run; values reach MLflow as they stand in the files."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from dmp.errors import DMPError
from dmp.files import read_json
from dmp.tracking.record import Point, check_name


def read_log(path: Path, most: int | None = None) -> list[Point]:
    """Read ``log.jsonl``: the history of every name but ``step`` and ``time``.

    A last line without its line end is what a killed writer leaves; if it is not valid JSON it is
    dropped, as a resumed run drops it. NaN and infinities are values like any other, and null, by
    which JSON has to say so, is NaN. A missing file is an empty history, since the baseline trains
    nothing.

    Args:
        path: the file.
        most: if given, read no more than so many records, at least 2 of them: evenly spaced, the
            first and the last among them. Nothing is averaged.

    Raises:
        DMPError: another line that is read is no JSON object with ``step``, ``time`` and numbers.

    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DMPError(f"cannot read {path}: {error.strerror or error}") from error
    *_, rest = lines
    try:
        json.loads(rest)
    except ValueError:
        lines.pop()
    numbers = range(len(lines))
    if most is not None and len(lines) > most:
        numbers = np.linspace(0, len(lines) - 1, most).round().astype(int).tolist()
    points: list[Point] = []
    known: set[str] = set()
    for number in numbers:
        where = f"{path}, line {number + 1}"
        try:
            record = json.loads(lines[number])
        except ValueError as error:
            raise DMPError(
                f"{where} is not JSON ({error}); delete the run's folder and run it again, or "
                f"remove the line"
            ) from error
        points += _log_points(record, where, known)
    return points


def _log_points(record: Any, where: str, known: set[str]) -> list[Point]:
    """Return the points of one line; ``known`` are the names that have been checked already."""
    if not isinstance(record, dict):
        raise DMPError(f"{where} is {record!r}; a JSON object is needed")
    step, time = record.pop("step", None), record.pop("time", None)
    if not isinstance(step, int) or isinstance(step, bool):
        raise DMPError(f"{where}: step = {step!r}; an integer is needed")
    if not _is_number(time) or not 0 <= time < math.inf:
        raise DMPError(f"{where}: time = {time!r}; seconds since the Unix epoch are needed")
    time_ms = round(time * 1000)
    points = []
    for name, value in record.items():
        if value is None:
            value = math.nan
        if type(value) is not float and not _is_number(value):
            raise DMPError(f"{where}: {name} = {value!r}; a number is needed")
        if name not in known:
            check_name(name, where)
            known.add(name)
        points.append(Point(name, float(value), time_ms, step))
    return points


def read_metrics(path: Path, time_ms: int, step: int) -> list[Point]:
    """Read ``metrics.csv``: ``final/fid``, and ``final/denoising_mse/0-99`` for a bin.

    What was measured before the last iteration is the history ``curve/fid``, from there to the
    last.

    Raises:
        DMPError: a column is missing, a value is not a number, or a metric is listed twice at one
            iteration: MLflow would keep one of the two and not say which.

    """
    values: dict[str, dict[int, float]] = {}
    last = 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"metric", "bin", "iteration", "value"} - set(rows.fieldnames or ())
            if missing:
                raise DMPError(f"{path} has no column '{min(missing)}'")
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                name = row["metric"] if row["bin"] == "all" else f"{row['metric']}/{row['bin']}"
                check_name(name, where)
                iteration = int(_value(row["iteration"], where, "iteration"))
                last = max(last, iteration)
                history = values.setdefault(name, {})
                if iteration in history:
                    raise DMPError(f"{where}: {name} is listed twice at iteration {iteration}")
                history[iteration] = _value(row["value"], where, "value")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DMPError(f"cannot read {path}: {error}") from error
    points = []
    for name, history in values.items():
        if last in history:
            points.append(Point(f"final/{name}", history[last], time_ms, step))
        if set(history) != {last}:
            points += [
                Point(f"curve/{name}", value, time_ms, iteration)
                for iteration, value in sorted(history.items())
            ]
    return points


def _value(text: str | None, where: str, column: str) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise DMPError(f"{where}: {column} = {text!r}; a number is needed") from error


def read_convergence(path: Path, time_ms: int, step: int) -> list[Point]:
    """Read ``convergence.json``: a number as ``convergence/<key>``, true as 1 and false as 0.

    The FIDs of the checkpoints are a history over their iterations. Other entries are left to the
    artifact.

    Raises:
        DMPError: the file is not a JSON object, or has not as many FIDs as iterations.

    """
    if not path.is_file():
        return []
    verdict = read_json(path)
    if not isinstance(verdict, dict):
        raise DMPError(f"{path} is {verdict!r}; a JSON object is needed")
    points = []
    for name, value in verdict.items():
        if isinstance(value, bool) or _is_number(value):
            check_name(f"convergence/{name}", str(path))
            points.append(Point(f"convergence/{name}", float(value), time_ms, step))
    fids, iterations = verdict.get("fids", []), verdict.get("iterations", [])
    try:
        points += [
            Point("convergence/fids", float(fid), time_ms, int(iteration))
            for fid, iteration in zip(fids, iterations, strict=True)
        ]
    except (TypeError, ValueError) as error:
        raise DMPError(
            f"{path}: fids = {fids!r} and iterations = {iterations!r}; two lists of as many "
            f"numbers are needed"
        ) from error
    return points


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
