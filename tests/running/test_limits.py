"""The time limit of a Slurm job, and what cannot be done within it."""

import pytest

from dmp.errors import DMPError
from dmp.running.limits import TimeLimit, check_checkpoint_interval, job_time_limit


def fake_squeue(folder, script: str) -> dict[str, str]:
    """An environment of job 7 in which squeue does what ``script`` says."""
    path = folder / "squeue"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"SLURM_JOB_ID": "7", "PATH": f"{folder}:/usr/bin:/bin"}


def test_outside_of_slurm_there_is_no_limit():
    assert job_time_limit({}) is None


def test_environment_says_the_limit():
    environment = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": "100", "SLURM_JOB_END_TIME": "700"}
    assert job_time_limit(environment) == TimeLimit(100, 700)
    assert job_time_limit(environment).seconds == 600


def test_queue_says_the_limit_of_this_job_in_seconds(tmp_path, monkeypatch):
    environment = fake_squeue(
        tmp_path,
        '[ "$2" = --jobs=7 ] && [ "$3" = "--format=%S %e" ] && [ "$SLURM_TIME_FORMAT" = %s ] '
        "&& echo 100 700",
    )
    monkeypatch.setenv("PATH", environment["PATH"])
    assert job_time_limit(environment) == TimeLimit(100, 700)


@pytest.mark.parametrize("script", ["echo 100 N/A", "echo 100 Unknown", "exit 1", "echo"])
def test_no_limit_or_no_answer_is_none(tmp_path, monkeypatch, script):
    environment = fake_squeue(tmp_path, script)
    monkeypatch.setenv("PATH", environment["PATH"])
    assert job_time_limit(environment) is None


def test_interval_longer_than_the_limit_says_what_to_change():
    limit = TimeLimit(1000, 1600)
    with pytest.raises(DMPError) as caught:
        check_checkpoint_interval(limit, 10, 20, remaining=5000, checkpoint_every=301)
    message = str(caught.value)
    assert "at 0.5 iterations/s, 301 iterations to a checkpoint take 10.0 min" in message
    assert "time limit is 10.0 min" in message
    assert "raise `runtime`" in message
    assert "lower checkpoint_every = 301" in message


@pytest.mark.parametrize(("remaining", "every"), [(5000, 300), (300, 5000)])
def test_interval_or_the_rest_of_the_training_may_fill_the_limit(remaining, every):
    check_checkpoint_interval(TimeLimit(0, 600), 10, 20, remaining, every)
