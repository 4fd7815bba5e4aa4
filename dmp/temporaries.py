"""Names of what is being written, and what killed processes have left under them."""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
import time
from pathlib import Path

# Names of what is being written: by which process, and on which machine or in which container.
_TEMPORARY = re.compile(r"\..+?\.(?P<process>\d+)(?:-(?P<place>[0-9a-f]{8}))?\.tmp(?:\..*)?")
# Nobody writes one file for so long without a byte of it: seconds.
_GIVEN_UP = 24 * 3600.0


def this_boot() -> str:
    """Return what tells this start of this machine from all others; containers on it share it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


@functools.cache
def _this_place() -> str:
    """Return eight digits for where the numbers of processes are what they are here."""
    try:
        numbers = Path("/proc/self/ns/pid").readlink()
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{this_boot()} {numbers}".encode()).hexdigest()[:8]


def temporary_path(path: Path) -> Path:
    """Return where a file or folder is written before it is given its name, beside it.

    The suffix is kept, since several libraries choose a format by it.
    """
    return path.with_name(f".{path.stem}.{os.getpid()}-{_this_place()}.tmp{path.suffix}")


def remove_left_over(root: Path) -> int:
    """Remove what processes that were killed while they wrote have left; return how much.

    That is what a process of this machine wrote that is gone, and whatever has not been touched for
    a day: on other machines, somebody may be writing.
    """
    removed = 0
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            found = _TEMPORARY.fullmatch(name)
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                if found is None or not _is_left_over(found, path):
                    continue
                if path.is_dir():
                    folders.remove(name)
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed += 1
    return removed


def _is_left_over(name: re.Match[str], path: Path) -> bool:
    if time.time() - path.lstat().st_mtime > _GIVEN_UP:
        return True
    if name["place"] != _this_place():
        return False
    try:
        os.kill(int(name["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # another user's
        return False
    return False
