"""The time limit of a Slurm job, and what cannot be done within it."""

import os

import pytest

from dmp.errors import DMPError
from dmp.running.limits import check_checkpoint_interval, job_time_limit


def test_outside_of_slurm_there_is_no_limit():
    assert job_time_limit({}) is None


def test_environment_says_the_limit():
    environment = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": "100", "SLURM_JOB_END_TIME": "700"}
    assert job_time_limit(environment) == 600


def test_queue_says_the_limit_of_this_job_in_seconds(program):
    program(
        "squeue",
        '[ "$2" = --jobs=7 ] && [ "$3" = "--format=%S %e" ] && [ "$SLURM_TIME_FORMAT" = %s ] '
        "&& echo 100 700",
    )
    assert job_time_limit({"SLURM_JOB_ID": "7", "PATH": os.environ["PATH"]}) == 600


@pytest.mark.parametrize("end", ["N/A", "Unknown"])
def test_job_without_a_limit_has_none(program, end):
    program("squeue", f"echo 100 {end}")
    assert job_time_limit({"SLURM_JOB_ID": "7", "PATH": os.environ["PATH"]}) is None


def test_interval_longer_than_the_limit_says_what_to_change():
    with pytest.raises(DMPError) as caught:
        check_checkpoint_interval(600, 10, 20, remaining=5000, checkpoint_every=301)
    message = str(caught.value)
    assert "at 0.5 iterations/s, 301 iterations to a checkpoint take 10.0 min" in message
    assert "time limit is 10.0 min" in message
    assert "raise `runtime`" in message
    assert "lower checkpoint_every = 301" in message


@pytest.mark.parametrize(("remaining", "every"), [(5000, 300), (300, 5000)])
def test_interval_or_the_rest_of_the_training_may_fill_the_limit(remaining, every):
    check_checkpoint_interval(600, 10, 20, remaining, every)
