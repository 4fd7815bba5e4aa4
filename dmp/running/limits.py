"""The time limit of the job that this process runs in."""

import os
from collections.abc import Mapping

from dmp.errors import DMPError
from dmp.running.programs import NoAnswerError, ask


def job_time_limit(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return the Slurm job's time limit in seconds; None outside of Slurm, or if it has none.

    Newer releases say it in the environment, but not to the steps that Snakemake's executor
    starts, which drops what it does not know; so the queue is asked.
    """
    job = environment.get("SLURM_JOB_ID")
    if job is None:
        return None
    start, end = (environment.get(f"SLURM_JOB_{moment}_TIME") for moment in ("START", "END"))
    if start is None or end is None:
        try:
            answer = ask(
                *("squeue", "--noheader", f"--jobs={job}", "--format=%S %e"),
                environment={**environment, "SLURM_TIME_FORMAT": "%s"},
                seconds=20,
            )
            start, end = answer.split()
        except NoAnswerError as error:
            print(f"cannot read the time limit of job {job}: {error}", flush=True)
            return None
        except ValueError:
            print(f"cannot read the time limit of job {job}: squeue says '{answer}'", flush=True)
            return None
    try:
        return float(end) - float(start)
    except ValueError:  # "N/A" or "Unknown": no limit
        return None


def check_checkpoint_interval(
    limit: float, iterations: int, seconds: float, remaining: int, checkpoint_every: int
) -> None:
    """Refuse to train where the whole time limit is shorter than the way to the next checkpoint.

    Such a job saves only if a signal reaches it in time, and otherwise never gets anywhere. The
    first that can be known is the speed of the first iterations.

    Args:
        limit: of the job, in seconds.
        iterations, seconds: what so many took.
        remaining: iterations that are left.
        checkpoint_every: iterations between checkpoints.

    Raises:
        DMPError: saying what to change.
    """
    interval = min(checkpoint_every, remaining)
    needed = interval * seconds / iterations
    if needed > limit:
        raise DMPError(
            f"at {iterations / seconds:.3g} iterations/s, {interval} iterations to a checkpoint "
            f"take {needed / 60:.1f} min, but the job's time limit is {limit / 60:.1f} min: "
            f"raise `runtime` (execution.stages in the scale, or set-resources in the "
            f"profile) or lower checkpoint_every = {checkpoint_every}"
        )
