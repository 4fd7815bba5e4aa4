"""Is there room for a dataset, and what to say where there is none."""

import errno
import shutil
from pathlib import Path

from dmp.errors import DMPError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def readable(size: int) -> str:
    """Return a number of bytes for people: ``13.5 GB``."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def ensure_space(name: str, folder: Path, needed: int) -> None:
    """Refuse to begin what will not fit.

    Args:
        name: the dataset, for the message.
        folder: an existing folder on the disk.
        needed: bytes.

    Raises:
        DMPError: fewer bytes are free.

    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DMPError(
            f"dataset '{name}': {readable(needed)} are needed in {folder}, and {readable(free)} "
            "are free; free some space, or choose a folder on another disk with --data"
        )


def is_of_disk(error: OSError) -> bool:
    """Return whether an error is of a file, rather than of a connection."""
    return error.filename is not None or error.errno in _FULL


def disk_error(name: str, folder: Path, error: OSError) -> DMPError:
    """Turn a failed write into the sentence that a user reads."""
    where = error.filename or folder
    if error.errno in _FULL:
        return DMPError(
            f"dataset '{name}': no space is left for {where}; free some and run the same command "
            "again (what has arrived is kept)"
        )
    reason = error.strerror or error
    return DMPError(f"dataset '{name}': cannot write {where}: {reason}; see to it or change --data")
