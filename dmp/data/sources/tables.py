"""Parquet tables: opened, or the damage named."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dmp.data.sources.findings import AGAIN, DamagedFileError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile


@contextlib.contextmanager
def opened(path: Path, where: Path | None = None) -> "Iterator[ParquetFile]":
    """Open a table.

    Args:
        path: the table.
        where: what is being read from it, for the message; the table itself if left out.

    Raises:
        DamagedFileError: it cannot be opened, or what the caller reads from it cannot be read.

    """
    # Here, since it takes a fifth of a second, and every job that reads a plan has the formats.
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFileError(
            where or path, f"cannot be read as parquet ({reason})", f"{AGAIN}: {path.name}"
        ) from error
