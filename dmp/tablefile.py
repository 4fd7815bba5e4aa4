"""Tables as CSV, read as the text that they are."""

import csv
import io
from pathlib import Path

from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, read_text, told


def read_rows(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Read a CSV table as text: its header, and its rows, each as long as the header.

    Raises:
        DMPError: the file cannot be read, or is no such table.
    """
    text = read_text(path)
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (ValueError, csv.Error) as error:
        why = error if text.strip() else "it is empty"
        raise DMPError(told(f"{path} is not a CSV table ({why})", STAGE_OUTPUT.damaged)) from error
    twice = {name for name in header if header.count(name) > 1}
    other = next((n for n, row in enumerate(rows, start=1) if len(row) != len(header)), None)
    if twice or other is not None:
        why = f"its row {other} is not as long as its header"
        why = f"its header has {min(twice)!r} twice" if twice else why
        raise DMPError(told(f"{path} is not a CSV table ({why})", STAGE_OUTPUT.damaged))
    return header, rows
