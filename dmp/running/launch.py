"""Starting a command again in several processes that train together."""

import os
import sys

from dmp.errors import DMPError
from dmp.running.lease import VISIBLE, hold_gpus
from dmp.running.processes import check_shared, process_count
from dmp.studies.execution import Resources

# Beside what torchrun passes on by itself: a scheduler may send SIGUSR1 before it kills.
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
# How long the processes may take to save after a signal, before torchrun kills them.
SAVING_SECONDS = "110"


class ProcessFailedError(DMPError):
    """One of several processes failed, and has said why."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def share_training(
    needed: Resources, batch_size: int, batch_losses: list[str], processes: int | None = None
) -> bool:
    """Hold the GPUs of a training job and, where it has several, train in as many processes.

    A method with losses that cannot be shared trains in one process, unless several are demanded.

    Args:
        needed: by the job.
        batch_size: global.
        batch_losses: options whose losses mix the images of a batch, as ``key = value``.
        processes: how many; one for each GPU if None.

    Returns:
        Whether that was the whole job; False says that this process is to train.

    Raises:
        DMPError: the training cannot be shared, the machine has fewer GPUs, or a process failed.
    """
    if process_count() > 1:
        return False
    gpus = training_gpus(needed, batch_losses)
    if processes is None:
        # On the CPU, on purpose: see :func:`dmp.running.lease.leased_gpus`.
        processes = 1 if os.environ.get(VISIBLE) == "" else max(1, gpus)
    check_shared(batch_size, batch_losses, processes)
    hold_gpus(gpus, needed.gpu_share or 100)
    if processes == 1:
        return False
    launch(processes, sys.argv[1:])
    return True


def training_gpus(needed: Resources, batch_losses: list[str]) -> int:
    """Return how many GPUs a training job uses: one where its losses cannot be shared."""
    gpus = needed.gpus or 0
    return min(gpus, 1) if batch_losses else gpus


def launch(processes: int, arguments: list[str]) -> None:
    """Run ``dmp ARGUMENTS`` in several processes of this machine, by torchrun.

    It is called in this process, which therefore keeps what it holds: the lease of its GPUs.

    Raises:
        ProcessFailedError: one of them failed; with its exit status.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", SIGNALS)
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SAVING_SECONDS)
    # Else torchrun decides, and says so at length; each process sets its own number of threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options = ["--standalone", f"--nproc-per-node={processes}", "--max-restarts=0"]
    sys.stdout.flush()
    try:
        torchrun([*options, "--module", "dmp", *arguments])
    except SignalException as error:
        raise ProcessFailedError(
            f"the {processes} processes were told to stop by {error.sigval.name}; see above for "
            f"what they saved",
            os.EX_TEMPFAIL,
        ) from error
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        # A negative status is the number of a signal.
        status = failure.exitcode if failure.exitcode > 0 else 1
        raise ProcessFailedError(
            f"process {rank} of {processes} ended with status {failure.exitcode}; why is above",
            status,
        ) from error
