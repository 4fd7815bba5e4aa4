"""Going on after snakemake was killed, with the very same command.

A killed snakemake leaves its lock on the folder, and marks of what it was making. Whether it still
lives is known by a file that each snakemake holds while it runs; what is whole is known by the
records of the products, which say more than the marks do.
"""

import atexit
import base64
import binascii
import contextlib
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from dmp.running.holding import is_dead, read_holder, told, try_hold

# Snakemake's own folder, in the folder where it was started.
_OWN = Path(".snakemake")


def take_over(register: bool = True, folder: Path = _OWN) -> None:
    """Remove the lock of a snakemake that died, and hold a file of this one's own while it runs.

    The lock of one that lives, or of which nothing is known, is left alone; who it is, is said.

    Args:
        register: whether this one will lock the folder itself.
    """
    holders, locks = folder / "holders", folder / "locks"
    others = list(holders.glob("*.json"))
    dead = [path for path in others if is_dead(path)]
    alive = [path for path in others if path not in dead]
    if any(locks.glob("*.lock")):
        for path in alive:
            print(
                f"note: this folder is in use by {told(read_holder(path))}. If it makes the same "
                f"files, this call ends now: wait until it has ended, or end it. If that machine "
                f"no longer runs it: snakemake --unlock",
                file=sys.stderr,
            )
        if dead and not alive:
            print(
                f"unlocked: the lock was left by {told(read_holder(dead[-1]))}, which was killed",
                file=sys.stderr,
            )
            for lock in locks.glob("*.lock"):
                lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a folder of another user's, or without locks
        for path in dead:
            path.unlink(missing_ok=True)
        if not register:
            return
        holders.mkdir(parents=True, exist_ok=True)
        # Whole: with --directory, Snakemake is somewhere else again when it ends.
        path = holders.absolute() / f"{uuid.uuid4().hex}.json"
        file = try_hold(path)
        atexit.register(_let_go, path, file)


def _let_go(path: Path, file: object) -> None:
    """Remove this snakemake's file; called when it ends. ``file`` is kept open until then."""
    del file
    path.unlink(missing_ok=True)


def forget_others(folder: Path = _OWN) -> None:
    """Forget who held the lock that a person removes; those who live keep their files."""
    for path in (folder / "holders").glob("*.json"):
        with contextlib.suppress(OSError):
            if (file := try_hold(path)) is not None:
                _let_go(path, file)


def forget_incomplete(whole: Iterable[Path], folder: Path = _OWN) -> None:
    """Remove Snakemake's marks of files being incomplete which are whole.

    A job goes on when its snakemake is killed, and may end well. Snakemake would delete what it
    has made, and make it again.
    """
    if marks := dict(_marks(folder / "incomplete")):
        known = {path.absolute() for path in whole}
        for path, mark in marks.items():
            if Path(path).absolute() in known:
                mark.unlink(missing_ok=True)


def _marks(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each marked file, and its mark, whose name says it in base64.

    A long one is cut into folders, whose names begin with @.
    """
    for mark in folder.rglob("*"):
        if mark.is_dir():
            continue
        parts = [part.removeprefix("@") for part in mark.relative_to(folder).parts]
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            yield base64.urlsafe_b64decode("".join(parts)).decode(), mark
