"""Being told to stop: a scheduler sends a signal before it kills, and training saves and ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from types import FrameType

from dmp.errors import DMPError

# SIGTERM is what schedulers, and `scancel`, send before they kill; SIGUSR1 what a site may prefer.
STOPPING = (signal.SIGTERM, signal.SIGUSR1)


class PreemptedError(DMPError):
    """Training was told to stop; all that was done is saved, and the same command goes on."""

    # sysexits' "try again": neither success, for the outputs are not there, nor a wrong input.
    status = os.EX_TEMPFAIL


class StopRequest:
    """Whether a signal has asked to stop.

    Attributes:
        signal: its name; None as long as there was none.

    """

    def __init__(self) -> None:
        self.signal: str | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_requests() -> Generator[StopRequest]:
    """Turn SIGTERM and SIGUSR1 into a request that is looked at between two iterations.

    Earlier handlers are restored. Python handles signals in the main thread alone: elsewhere
    nothing is installed, and the request never comes.
    """
    request = StopRequest()

    def note(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            # None stands for a handler that was not installed from Python: it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
