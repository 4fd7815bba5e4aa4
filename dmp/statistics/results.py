"""The input of all statistics: one measured number per row, and whether each baseline converged."""

from pathlib import Path

import numpy as np
import pandas as pd

from dmp.errors import DMPError

RESULT_COLUMNS = {
    "task": str,
    "variant": str,
    "seed": int,
    "baseline_seed": int,
    "metric": str,
    "bin": str,
    "iteration": int,
    "value": float,
    "samples": int,
    "protocol": str,
    "evaluator": str,
    "commit": str,
    "config": str,
}
BASELINE_COLUMNS = {
    "task": str,
    "baseline_seed": int,
    "converged": bool,
    "fid_last": float,
    "relative_change": float,
    "p_value": float,
    "iterations": int,
    "commit": str,
}
ALL_TIMESTEPS = "all"
DIVERGED = "diverged"


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
    if len(double):
        row = double.iloc[0]
        raise DMPError(f"{path}: baseline {row.baseline_seed} of task '{row.task}' is listed twice")
    return baselines


def read_csv(path: str | Path, columns: dict[str, type]) -> pd.DataFrame:
    """Read a CSV file with known columns.

    Raises:
        DMPError: as :func:`read_results`.

    """
    # Everything is read as text first: a hash such as 12e4 must never become a number, nor a
    # variant called "NA" a missing value.
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise DMPError(f"{path} does not exist; the stage that writes it has not run") from error
    except OSError as error:
        raise DMPError(f"{path} cannot be read: {error.strerror or error}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DMPError(f"{path} is not a CSV table ({str(error).strip()})") from error
    # pandas makes an index of what rows have more than the header, and so shifts all columns.
    if not isinstance(table.index, pd.RangeIndex):
        raise DMPError(f"{path} is not a CSV table (its rows are longer than its header)")
    require_columns(table, columns, str(path))
    for name, kind in columns.items():
        if kind is not str:
            table[name] = [
                number(text, kind, f"{path}: line {line}: {name}")
                for line, text in enumerate(table[name], start=2)
            ]
    return table


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
        return kind(text)
    except ValueError as error:
        what = {int: "an integer", float: "a number"}[kind]
        raise DMPError(f"{where} = '{text}' is not {what}") from error


def require_columns(table: pd.DataFrame, columns: dict[str, type], where: str) -> None:
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
        if bad.any():
            row = results[np.asarray(bad)].iloc[0]
            raise DMPError(
                f"{where}: {describe(row)}: {name} = '{row[name]}' is not accepted; "
                f"it must be {accepted}"
            )


def final_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each run that were measured after its last iteration.

    A run may be measured on its way too, for a curve, and before it starts.
    """
    last = results.groupby(["task", "variant", "seed"])["iteration"].transform("max")
    return results[results["iteration"] == last]


def describe(row: pd.Series) -> str:
    """Return ``task t, variant v, seed s, metric m`` for a row, for messages."""
    return f"task {row.task}, variant {row.variant}, seed {row.seed}, metric {row.metric}"
