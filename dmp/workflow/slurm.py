"""Whether jobs can be handed to Slurm from here, known before any of them is."""

import shutil
import socket
from collections.abc import Callable

from dmp.errors import DMPError
from dmp.running.programs import NoAnswerError, ask

# What Snakemake calls to submit a job and to ask after it.
NEEDED = ("sbatch", "squeue")


def check_slurm(
    executor: str,
    which: Callable[[str], str | None] = shutil.which,
    answer: Callable[..., str] = ask,
) -> None:
    """Check that Slurm is there and answers, if it is what is to run the jobs.

    Raises:
        DMPError: its programs are missing, or its controller doesn't answer.
    """
    if executor != "slurm":
        return
    host = socket.gethostname()
    missing = [name for name in NEEDED if which(name) is None]
    if missing:
        raise DMPError(
            f"--profile slurm: there is no Slurm on {host} ({' and '.join(missing)} cannot be "
            f"found); start this on a login node of the cluster, perhaps after loading its module, "
            f"or on this machine alone with --profile local"
        )
    try:
        answer("squeue", "--me", "--noheader")
    except NoAnswerError as error:
        raise DMPError(
            f"--profile slurm: Slurm on {host} does not answer ({error}); try again when it does, "
            f"or run on this machine alone with --profile local"
        ) from error
