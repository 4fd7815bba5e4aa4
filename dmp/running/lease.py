"""Leasing a share of a GPU, so that jobs on one machine neither collide nor leave it idle.

Every GPU has four slots, each a lock file of this user; a job holds as many as its share needs.
The operating system releases the locks when the process ends, however it ends.
"""

import contextlib
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Generator, MutableMapping
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from dmp.errors import DMPError
from dmp.running.processes import process_count
from dmp.running.programs import NoAnswerError, NotInstalledError, ask

SLOTS = 4
VISIBLE = "CUDA_VISIBLE_DEVICES"
# How Slurm, in some releases, says that a job has no GPU.
NONE_GIVEN = ("NoDevFiles", "-1")
POLL_SECONDS = 1.0


def installed_gpus() -> list[str]:
    """Return the UUIDs of the machine's GPUs, by number, without initialising CUDA."""
    try:
        answer = ask("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
    except NotInstalledError:
        return []
    except NoAnswerError as error:
        print(f"cannot ask which GPUs there are: {error}", flush=True)
        return []
    # Some releases say that there are none where they are.
    return [name for name in answer.split() if name.startswith("GPU-")]


def usable_gpus(environment: MutableMapping[str, str]) -> list[str]:
    """Return the GPUs that this process may use: all, or those of CUDA_VISIBLE_DEVICES."""
    visible = environment.get(VISIBLE)
    if visible is None:
        # Slurm sets it for the GPUs that it gives: those of the node belong to other jobs.
        return [] if "SLURM_JOB_ID" in environment else installed_gpus()
    chosen = [name.strip() for name in visible.split(",") if name.strip()]
    if not chosen or chosen[0] in NONE_GIVEN:
        return []
    if not any(name.isdigit() for name in chosen):
        return chosen
    # One GPU, one name: a job that says 0 and one that says its UUID must meet at the same lock.
    installed = installed_gpus()
    return [
        installed[int(name)] if name.isdigit() and int(name) < len(installed) else name
        for name in chosen
    ]


def lease_folder() -> Path:
    """Return this user's folder for the locks, on this machine and gone after a restart."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    # It may be that of the login that somebody has come from, and is not theirs.
    if not os.access(base, os.W_OK | os.X_OK):
        base = tempfile.gettempdir()
    return Path(base) / f"dmp-gpus-{os.getuid()}"


@contextlib.contextmanager
def leased_gpus(
    gpus: int,
    share: int,
    environment: MutableMapping[str, str] = os.environ,
    folder: Path | None = None,
    waited: Callable[[], None] = lambda: time.sleep(POLL_SECONDS),
) -> Generator[None]:
    """Hold GPUs, or a share of one, and show CUDA no others; wait until that many are free.

    To be entered before CUDA is initialised. A job that needs none is left alone, and so is one
    for which Slurm has already chosen. An empty CUDA_VISIBLE_DEVICES asks for the CPU.

    Args:
        gpus: how many; more than one are held whole.
        share: percent of the one.
        environment: read and changed.
        folder: of the locks.
        waited: called between two looks at the locks.

    Raises:
        DMPError: the machine has fewer GPUs.
    """
    if gpus == 0 or environment.get(VISIBLE) == "":
        yield
        return
    names = usable_gpus(environment)
    if len(names) < gpus:
        raise DMPError(_missing(gpus, len(names), "SLURM_JOB_ID" in environment))
    if "SLURM_JOB_ID" in environment:
        yield
        return
    slots = SLOTS if gpus > 1 else max(1, -(-share * SLOTS // 100))
    with contextlib.ExitStack() as stack:
        held = _wait_for_slots(names, gpus, slots, folder or lease_folder(), waited)
        for locks in held.values():
            for lock in locks:
                stack.callback(lock.release)
        before = environment.get(VISIBLE)
        environment[VISIBLE] = ",".join(held)
        try:
            yield
        finally:
            if before is None:
                del environment[VISIBLE]
            else:
                environment[VISIBLE] = before


_held = contextlib.ExitStack()


def hold_gpus(gpus: int, share: int) -> None:
    """Hold GPUs as :func:`leased_gpus` until this process ends.

    Of several processes that train together, the one that started them holds their GPUs.

    Raises:
        DMPError: the machine has fewer GPUs.
    """
    if process_count() == 1:
        _held.enter_context(leased_gpus(gpus, share))


def check_device(gpus: int, device: str) -> None:
    """Refuse to compute on the CPU where a GPU is held, rather than take a thousand times as long.

    Raises:
        DMPError: torch cannot use the GPU.
    """
    if gpus and device == "cpu" and os.environ.get(VISIBLE) != "":
        raise DMPError(
            f"{socket.gethostname()} has a GPU for this job ({VISIBLE}="
            f"{os.environ.get(VISIBLE, '')}), but torch cannot use it: is it a build for CPUs, or "
            f"newer than the driver? To compute on the CPU on purpose, run with {VISIBLE}= (empty)"
        )


def _missing(gpus: int, found: int, slurm: bool) -> str:
    ask = (
        "let the job ask for them (`gpu` under set-resources in the profile, or execution.gpus "
        "in the scale) and send it to a partition that has them"
        if slurm
        else "run it on a machine that has them, or set execution.gpus in the scale"
    )
    return (
        f"this job needs {gpus} GPU{'s' if gpus > 1 else ''}, and {socket.gethostname()} has "
        f"{found or 'none'} that it may use: {ask}; to compute on the CPU on purpose, run with "
        f"{VISIBLE}= (empty) in the environment"
    )


def _wait_for_slots(
    names: list[str], gpus: int, slots: int, folder: Path, waited: Callable[[], None]
) -> dict[str, list[BaseFileLock]]:
    """Return the locks of ``slots`` slots of each of ``gpus`` GPUs, the freest first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Who waits holds the queue: a job that needs a whole GPU is not overtaken for ever by small
    # ones, and two jobs never each hold half of what both need.
    with FileLock(folder / "queue.lock"):
        while True:
            free = {name: _free_slots(folder, name) for name in names}
            fitting = [name for name in names if len(free[name]) >= slots]
            chosen = sorted(fitting, key=lambda name: -len(free[name]))[:gpus]
            enough = len(chosen) == gpus
            for name, locks in free.items():
                for lock in locks[slots if enough and name in chosen else 0 :]:
                    lock.release()
            if enough:
                return {name: free[name][:slots] for name in sorted(chosen, key=names.index)}
            waited()


def _free_slots(folder: Path, name: str) -> list[BaseFileLock]:
    """Take all slots of a GPU that nobody holds."""
    short = hashlib.sha256(name.encode()).hexdigest()[:12]
    locks = []
    for slot in range(SLOTS):
        # Not a singleton, so that tests can pretend to be several jobs in one process.
        lock = FileLock(folder / f"{short}-{slot}.lock", is_singleton=False)
        with contextlib.suppress(Timeout):
            lock.acquire(blocking=False)
            locks.append(lock)
    return locks
