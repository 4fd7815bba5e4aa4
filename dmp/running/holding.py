"""Files that one living process holds, whatever machine or container it is in.

The operating system drops a lock when its process ends, however it ends: what is locked has a
holder that lives, and what is not has none. A process number alone says neither: numbers are given
anew, and another container or machine has its own.
"""

import contextlib
import errno
import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO

from dmp.files import write_error
from dmp.temporaries import this_boot

# What a file system says that has no locks, such as some of clusters.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
# File systems that one kernel alone mounts: whoever wrote there before it was started is gone.
_OF_ONE_MACHINE = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay"}


def describe_self() -> dict[str, str]:
    """Return who this process is, for those who find a file that it holds."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        user = str(os.getuid())
    return {
        "process": str(os.getpid()),
        "user": user,
        "host": socket.gethostname(),
        "boot": this_boot(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def told(holder: dict[str, str]) -> str:
    """Return a holder in words."""
    if not holder:
        return "another process"
    return (
        f"process {holder.get('process')} of {holder.get('user')} on {holder.get('host')}, since "
        f"{holder.get('since')}"
    )


def read_holder(path: Path) -> dict[str, str]:
    """Return what a holder says of itself; nothing if it has not said it yet."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def try_hold(path: Path) -> IO[str] | None:
    """Hold a file until it is closed or this process ends; None if another process holds it.

    Raises:
        OSError: it cannot be opened, or its file system has no locks.
    """
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                file.truncate(0)
                file.write(json.dumps(describe_self()))
                file.flush()
                return file
        except BlockingIOError:
            file.close()
            return None
        except FileNotFoundError:
            pass  # its last holder has removed it meanwhile
        except BaseException:
            file.close()
            raise
        file.close()


@contextlib.contextmanager
def hold(path: Path, waiting: Callable[[str], None], poll_seconds: float = 1.0) -> Generator[bool]:
    """Hold a file meanwhile; wait for whoever holds it. Yields whether it had to.

    Where the file system has no locks, nothing is held.

    Args:
        path: of the file, which is removed afterwards.
        waiting: called once with who it is, before waiting.
        poll_seconds: between two tries.

    Raises:
        DMPError: the file cannot be written.
    """
    waited, file = False, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while (file := try_hold(path)) is None:
            if not waited:
                waited = True
                waiting(told(read_holder(path)))
            time.sleep(poll_seconds)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise write_error(path, error) from error
    try:
        yield waited
    finally:
        if file is not None:
            path.unlink(missing_ok=True)
            file.close()


def is_dead(path: Path) -> bool:
    """Return whether the holder of a file is certainly gone.

    One of another machine may hold a lock that this machine does not see, unless the file system
    cannot be shared.
    """
    holder = read_holder(path)
    try:
        with path.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # held, or it cannot be told
    return holder.get("boot") == this_boot() or _file_system(path) in _OF_ONE_MACHINE


def _file_system(path: Path) -> str:
    """Return the kind of file system that a file is on; empty if the kernel does not say."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split()[0]
    return ""
