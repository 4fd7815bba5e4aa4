"""A signal is a request to stop, and nothing else changes."""

import os
import signal
import threading

import pytest

from dmp.running.signals import stop_requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_becomes_a_request_and_the_handler_of_before_comes_back(number):
    before = signal.getsignal(number)
    with stop_requests() as request:
        assert not request
        os.kill(os.getpid(), number)
        assert request
        assert request.signal == number.name
    assert signal.getsignal(number) is before


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError):
        with stop_requests():
            raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_install_nothing():
    before, inside = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with stop_requests():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
