"""What several processes must agree on: leases of a GPU, joined training, training after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from dmp.files import read_json
from dmp.planning.throughput import Sizes
from dmp.running.lease import VISIBLE, leased_gpus
from dmp.stages.gpu.checking import CheckFailedError, SkippedError
from dmp.stages.gpu.child import KILLED_AFTER, LEASED, STATE, WEIGHTS, train
from dmp.stages.gpu.models import Model

MODULE = "dmp.stages.gpu.child"
SECONDS = 120


class _BusyError(Exception):
    """A lease would have to wait."""


def check_leases(folder: Path) -> str:
    """Share a GPU with another process, and take it once that is killed.

    Raises:
        CheckFailedError: the GPU is given twice, or not given back.
        SkippedError: there is a scheduler that leases GPUs.
    """
    if "SLURM_JOB_ID" in os.environ:
        raise SkippedError("in a job of Slurm, which leases GPUs itself")
    environment = {**os.environ, VISIBLE: os.environ.get(VISIBLE) or "none"}
    if torch.cuda.is_available() and torch.cuda.device_count() != 1:
        raise CheckFailedError(f"this process sees {torch.cuda.device_count()} GPUs, and leased 1")
    other = subprocess.Popen(
        [sys.executable, "-m", MODULE, "lease", str(folder)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        if other.stdout.readline().strip() != "leased":
            raise CheckFailedError("the other process got no lease of a GPU that nobody holds")
        if _leased(100 - LEASED + 1, folder, environment):
            raise CheckFailedError(f"more than the {100 - LEASED} % that are free were leased")
        if not _leased(100 - LEASED, folder, environment):
            raise CheckFailedError(f"the {100 - LEASED} % that are free could not be leased")
    finally:
        other.kill()
        other.communicate()
    if not _leased(100, folder, environment):
        raise CheckFailedError("the lease of a process that was killed still stands")
    return "shared with another process, never more than once, and free once that is killed"


def _leased(share: int, folder: Path, environment: dict[str, str]) -> bool:
    """Return whether a share could be leased without waiting."""

    def waited() -> None:
        raise _BusyError

    try:
        with leased_gpus(1, share, dict(environment), folder, waited):
            return True
    except _BusyError:
        return False


class Trainings:
    """Trainings of one model, each in a folder of its own, in this process or in others."""

    def __init__(self, model: Model, precision: str, threads: int, folder: Path) -> None:
        sizes = {name: getattr(model.sizes, name) for name in Sizes.model_fields}
        self._described = {"sizes": sizes, "precision": precision, "threads": threads}
        self._folder, self._threads = folder, threads

    def check_joined(self) -> str:
        """Train in a process group of one, whose gradients go through NCCL, or gloo on a CPU.

        Raises:
            CheckFailedError: it ends in other weights than a training without a group.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
        done = self._start("joined", {**group, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
        if done.returncode:
            raise CheckFailedError(f"the training ended with {_last_words(done)}")
        state = read_json(self._folder / "joined" / STATE)
        expected = "nccl" if state["device"] == "cuda" else "gloo"
        if state["backend"] != expected:
            raise CheckFailedError(f"gradients went through {state['backend']}, not {expected}")
        self._compare("joined")
        return f"all-reduce by {expected}: the same bits as without"

    def check_resumed(self) -> str:
        """Kill a training after a checkpoint and go on with it in another process, this one.

        Raises:
            CheckFailedError: it ends in other weights than one that ran through.
        """
        done = self._start("resumed", {}, "killed")
        if done.returncode != -signal.SIGKILL:
            raise CheckFailedError(f"the training to be killed ended with {_last_words(done)}")
        train(self._folder / "resumed", self._described)
        self._compare("resumed")
        return f"killed after iteration {KILLED_AFTER} and resumed: the same bits as without"

    def _compare(self, name: str) -> None:
        alone = self._folder / "alone"
        if not (alone / WEIGHTS).exists():
            train(alone, self._described)
        if (alone / WEIGHTS).read_bytes() != (self._folder / name / WEIGHTS).read_bytes():
            raise CheckFailedError("the weights differ from those of a training that ran through")

    def _start(
        self, name: str, environment: Mapping[str, str], *more: str
    ) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", MODULE, "train", str(self._folder / name)]
        try:
            return subprocess.run(
                [*arguments, json.dumps(self._described), *more],
                env={**os.environ, "OMP_NUM_THREADS": str(self._threads), **environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailedError(f"a training took more than {SECONDS} s") from error


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"status {done.returncode}: {last}"
