"""Being told to stop: a scheduler sends a signal before it kills, and training saves and ends."""

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from types import FrameType

from dmp.errors import DMPError

# SIGTERM is what schedulers, and `scancel`, send before they kill; SIGUSR1 what a site may prefer;
# SIGINT is Ctrl-C, and SIGHUP a terminal that was closed.
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


class PreemptedError(DMPError):
    """Training was told to stop; all that was done is saved, and the same command goes on."""

    # sysexits' "try again": neither success, for the outputs are not there, nor a wrong input.
    status = os.EX_TEMPFAIL


class StopRequest:
    """Whether a signal has asked to stop.

    Attributes:
        signal: its name; None as long as there was none.
    """

    signal: str | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_requests() -> Generator[StopRequest]:
    """Turn the signals of ``STOPPING`` into a request that is looked at between two iterations.

    One that is ignored, as ``nohup`` lets SIGHUP be, stays ignored. A second Ctrl-C does not wait
    for the iteration to end. Earlier handlers are restored. Python handles signals in the main
    thread alone: elsewhere nothing is installed, and the request never comes.
    """
    request = StopRequest()

    def note(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and request:
            raise KeyboardInterrupt
        request.signal = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    heard = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, note) for number in heard}
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            # None stands for a handler that was not installed from Python: it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
