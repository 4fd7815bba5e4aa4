"""Another program answers, or it is one clear word why it does not, and nothing waits for ever."""

import os
import shutil
from pathlib import Path

import pytest

from dmp.errors import DMPError
from dmp.running import lease
from dmp.running.limits import job_time_limit
from dmp.running.programs import NoAnswerError, NotInstalledError, ask
from dmp.stages.provenance import commit_of_code

# In place of the shell, so that nothing is left behind.
HANG = "exec sleep 600"


def test_answer_is_what_it_prints_in_any_encoding(program):
    program("tool", "printf 'caf\\351 %s %s\\n' \"$1\" \"$2\"; printf 'never mind' >&2")
    assert ask("tool", "a b", "c") == "caf\ufffd a b c"


def test_nothing_is_read_from_a_terminal(program):
    program("tool", "cat; echo done")
    assert ask("tool") == "done"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo a; echo 'fatal: b' >&2; echo c >&2; exit 3", "tool says: fatal: b c"),
        ("echo 'no driver'; exit 9", "tool says: no driver"),
        ("exit 9", "tool ended with status 9"),
        ("kill -9 $$", "tool ended with status -9"),
    ],
)
def test_failure_is_what_it_says(program, script, message):
    program("tool", script)
    with pytest.raises(NoAnswerError) as caught:
        ask("tool")
    assert str(caught.value) == message
    assert isinstance(caught.value, DMPError)


def test_absent_and_forbidden_programs_are_told_apart(program, tmp_path):
    with pytest.raises(NotInstalledError, match=r"^tool is not installed$"):
        ask("tool")
    (tmp_path / "tool").mkdir()
    with pytest.raises(NoAnswerError, match=r"^tool cannot be run \(Permission denied\)$"):
        ask("tool")


def test_program_that_hangs_is_given_up(program):
    program("tool", HANG)
    with pytest.raises(NoAnswerError, match=r"^tool does not answer within 0.2 s$"):
        ask("tool", seconds=0.2)


def test_git_that_hangs_costs_no_run_and_is_said(program, monkeypatch):
    program("git", HANG)
    monkeypatch.setattr("dmp.stages.provenance.ask", hasty)
    assert commit_of_code() == ("unknown", None, "git does not answer within 0.2 s")


def hasty(*arguments, **named):
    """As :func:`ask`, with less patience where the program hangs."""
    path = Path(shutil.which(arguments[0]) or "")
    return ask(*arguments, **{**named, "seconds": 0.2 if HANG in path.read_text() else 60})


@pytest.mark.parametrize(
    ("script", "gpus", "said"),
    [
        ("echo GPU-x; echo GPU-y", ["GPU-x", "GPU-y"], ""),
        ("echo No devices were found", [], ""),
        ("echo broken driver; exit 9", [], "nvidia-smi says: broken driver"),
        (HANG, [], "nvidia-smi does not answer within 0.2 s"),
    ],
)
def test_gpus_are_asked_of_the_driver(program, monkeypatch, capsys, script, gpus, said):
    program("nvidia-smi", script)
    monkeypatch.setattr(lease, "ask", hasty)
    assert lease.installed_gpus() == gpus
    out = capsys.readouterr().out
    assert out == (f"cannot ask which GPUs there are: {said}\n" if said else "")


def test_machine_without_a_driver_has_no_gpus(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lease.installed_gpus() == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (HANG, "squeue does not answer within 0.2 s"),
        ("echo invalid job id >&2; exit 1", "squeue says: invalid job id"),
        ("echo one", "squeue says 'one'"),
    ],
)
def test_queue_that_does_not_answer_is_said_not_to(program, monkeypatch, capsys, script, said):
    program("squeue", script)
    monkeypatch.setattr("dmp.running.limits.ask", hasty)
    assert job_time_limit({**os.environ, "SLURM_JOB_ID": "7"}) is None
    assert capsys.readouterr().out == f"cannot read the time limit of job 7: {said}\n"
