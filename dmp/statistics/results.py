"""The input of all statistics: one measured number per row, and what else is read as CSV."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dmp.errors import DMPError
from dmp.tablefile import read_rows

Columns = Mapping[str, type]

RESULT_COLUMNS: Columns = {
    "task": str, "variant": str, "seed": int, "baseline_seed": int, "metric": str, "bin": str,
    "iteration": int, "value": float, "samples": int, "protocol": str, "evaluator": str,
    "commit": str, "config": str,
}  # fmt: skip
BASELINE_COLUMNS: Columns = {
    "task": str, "baseline_seed": int, "converged": bool, "fid_last": float,
    "relative_change": float, "p_value": float, "iterations": int, "commit": str,
}  # fmt: skip
PARAMETER_COLUMNS: Columns = {
    "study": str, "backbone": str, "base_nominal_millions": float, "backbone_parameters": int,
    "prompts": int, "gate": int, "added": int, "dmp_millions": float, "increase_percent": float,
    "paper_base": str, "paper_dmp": str, "paper_increase_percent": str,
}  # fmt: skip
SPEED_COLUMNS: Columns = {
    "task": str, "variant": str, "stage": str, "repeat": int, "seconds": float,
}  # fmt: skip
ALL_TIMESTEPS = "all"
DIVERGED = "diverged"
# In place of a commit that could not be had; the record of the run says why.
UNKNOWN = "unknown"
_NAMES: dict[type, str] = {int: "an integer", float: "a number"}


def read_results(path: str | Path) -> pd.DataFrame:
    """Read a table of numbers: the columns of ``RESULT_COLUMNS``, one number per row.

    Raises:
        DMPError: the file is missing, a column is missing, or a value is not of its column's type.
    """
    results = read_csv(path, RESULT_COLUMNS)
    check_results(results, str(path))
    return results


def read_baselines(path: str | Path) -> pd.DataFrame:
    """Read a table of baselines: the columns of ``BASELINE_COLUMNS``, one baseline per row.

    Raises:
        DMPError: as :func:`read_results`; or a baseline is listed twice.
    """
    baselines = read_csv(path, BASELINE_COLUMNS)
    double = baselines[baselines.duplicated(["task", "baseline_seed"])]
    for row in records(double):
        raise DMPError(f"{path}: baseline {row.baseline_seed} of task '{row.task}' is listed twice")
    return baselines


def read_csv(path: str | Path, columns: Columns) -> pd.DataFrame:
    """Read a CSV file with known columns; errors as :func:`read_results`."""
    # Everything is read as text first: a hash such as 12e4 must never become a number, nor a
    # variant called "NA" a missing value.
    header, rows = read_rows(path)
    table = pd.DataFrame(rows, columns=header, dtype=str)
    require_columns(table, columns, str(path))
    for name, kind in columns.items():
        if kind is not str:
            texts = table[name].to_list()  # to take them one by one from the column is slow
            values = numbers(texts, kind, lambda k, name=name: f"{path}: line {k + 2}: {name}")
            # A table without rows has its types all the same.
            table[name] = pd.Series(values, dtype=kind)
    return table


def numbers(texts: Sequence[str], kind: type, where: Callable[[int], str]) -> list:
    """Return texts as values of a type, exactly.

    Raises:
        DMPError: one is not of the type; ``where`` says where a text stands.
    """
    if kind is float:
        with contextlib.suppress(ValueError):
            return list(map(float, texts))
    with contextlib.suppress(DMPError):
        return [number(text, kind, "") for text in texts]
    # Where a text stands takes longer to say than all the others to read.
    return [number(text, kind, where(k)) for k, text in enumerate(texts)]


def number(text: str, kind: type, where: str) -> bool | int | float:
    """Return a text as a value of a type, exactly.

    Raises:
        DMPError: it is not one; ``where`` says where it stands.
    """
    if kind is bool:
        if text not in ("True", "False"):
            raise DMPError(f"{where} = '{text}' is neither True nor False")
        return text == "True"
    try:
        found = kind(text)
        if kind is int and abs(found) >= 2**63:
            raise ValueError("more than 64 bits")
    except ValueError as error:
        raise DMPError(f"{where} = '{text:.99}' is not {_NAMES[kind]}") from error
    return found


def require_columns(table: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Check that a table has the columns.

    Raises:
        DMPError: naming those that it lacks.
    """
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DMPError(
            f"{where} lacks the columns {', '.join(missing)}; it needs {', '.join(columns)}"
        )


def check_results(results: pd.DataFrame, where: str = "results") -> None:
    """Check that each row of a results table is a number with an origin.

    Raises:
        DMPError: a column is missing, a value is not finite, or a bin or protocol is empty.
    """
    require_columns(results, RESULT_COLUMNS, where)
    for name, bad, accepted in (
        ("value", ~np.isfinite(results["value"].to_numpy(dtype=float)), "a finite number"),
        ("bin", results["bin"].isin(["", None]), "'all' or a range of timesteps such as 0-99"),
        ("protocol", results["protocol"].isin(["", None]), "the hash of the evaluation protocol"),
    ):
        for _, row in results[np.asarray(bad)].iterrows():
            raise DMPError(
                f"{where}: task {row.task}, variant {row.variant}, seed {row.seed}, metric "
                f"{row.metric}: {name} = '{row[name]}' is not accepted; it must be {accepted}"
            )


def records(table: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of a table, its columns as attributes."""
    yield from table.itertuples(index=False)


def typed(table: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return rows as a table whose types do not depend on what was run.

    Args:
        table: the rows; what one lacks is empty.
        columns: to ``text``, ``count``, ``number``, ``truth``, or ``object`` for what is kept as
            it stands.
    """
    frame = pd.DataFrame(table, columns=list(columns))
    types = {"count": "Int64", "number": float, "truth": "boolean"}
    for name, kind in columns.items():
        # Counts stay integers beside a row without one.
        frame[name] = frame[name].astype(types.get(kind, object))
        if kind == "text":
            frame[name] = frame[name].fillna("")
    return frame
