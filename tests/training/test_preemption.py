"""A signal at any iteration: all that was done is saved, and nothing of it shows in the end."""

import os
import signal

import pytest
from small_training import METHODS, assert_same, interrupt, logged, train

from dmp.errors import DMPError
from dmp.running.signals import PreemptedError, stop_requests
from dmp.tensorfile import read_description
from dmp.training import loop

# Log records and checkpoints fall on multiples of three; these do not, but for the last.
STOPS = [1, 2, 4, 8, 9, 11, 12]


def signal_during(monkeypatch, iterations: list[int], number: int = signal.SIGTERM) -> None:
    """Send this process a signal in the forward pass of these iterations."""
    interrupt(monkeypatch, iterations, lambda: os.kill(os.getpid(), number))


@pytest.mark.parametrize(("method", "ema_decay"), [("fine-tuning", 0.9), ("dmp", None)])
def test_training_stopped_again_and_again_ends_bit_identical(
    tmp_path, monkeypatch, method, ema_decay
):
    patch = METHODS[method]
    through = train(tmp_path / "through", patch, ema_decay=ema_decay)
    signal_during(monkeypatch, STOPS)
    for stop in STOPS:
        with pytest.raises(PreemptedError, match=f"saved after iteration {stop} of 12: run the"):
            train(tmp_path / "stopped", patch, ema_decay=ema_decay)
        checkpoint = tmp_path / "stopped/checkpoint.safetensors"
        assert read_description(checkpoint)["step"] == stop
    assert_same(train(tmp_path / "stopped", patch, ema_decay=ema_decay), through)
    assert logged(tmp_path / "stopped") == logged(tmp_path / "through")
    names = [{p.name for p in (tmp_path / n).iterdir()} for n in ("stopped", "through")]
    assert names[0] == names[1] == {"checkpoint.safetensors", "log.jsonl", ".log.jsonl.sha256"}
    finished = tmp_path / "through/checkpoint.safetensors"
    assert checkpoint.read_bytes() == finished.read_bytes()


def test_record_counts_the_iterations_of_before_the_stop(tmp_path, monkeypatch):
    """The averages of a record are those of all its iterations, whoever did them."""
    signal_during(monkeypatch, [2])
    with pytest.raises(PreemptedError):
        train(tmp_path)
    assert logged(tmp_path) == []
    meter = read_description(tmp_path / "checkpoint.safetensors")["meter"]
    assert meter["steps"] == 2
    assert {"loss", "bin losses", "bin counts"} <= set(meter["sums"])


def test_time_limit_shorter_than_a_checkpoint_interval_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "job_time_limit", lambda: 1e-9)
    with pytest.raises(DMPError, match="iterations to a checkpoint take"):
        train(tmp_path)
    # At the first record; the first iteration, which warms up, does not count.
    assert [record["step"] for record in logged(tmp_path)] == [3]


def test_time_limit_that_reaches_a_checkpoint_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "job_time_limit", lambda: 1e9)
    train(tmp_path)
    assert len(logged(tmp_path)) == 4


@pytest.fixture
def as_in_a_terminal():
    """Handlers of a process in the foreground: in the background both signals may be ignored."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("as_in_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT, signal.SIGHUP])
def test_other_signals_save_as_a_schedulers_does_and_the_status_says_try_again(
    tmp_path, monkeypatch, number
):
    """Ctrl-C and a closed terminal among them."""
    before = signal.getsignal(number)
    signal_during(monkeypatch, [2], number)
    told = f"told to stop by {number.name}; saved after iter"
    with pytest.raises(PreemptedError, match=told) as caught:
        train(tmp_path)
    assert caught.value.status == 75
    assert signal.getsignal(number) is before
    assert read_description(tmp_path / "checkpoint.safetensors")["step"] == 2


def test_signal_that_is_ignored_stays_ignored(tmp_path, monkeypatch):
    """As ``nohup`` lets SIGHUP be."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signal_during(monkeypatch, [2], signal.SIGHUP)
        train(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert read_description(tmp_path / "checkpoint.safetensors")["step"] == 12


@pytest.mark.usefixtures("as_in_a_terminal")
def test_second_ctrl_c_does_not_wait():
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
