"""Jobs share GPUs without collisions, and a killed job leaves nothing behind."""

import contextlib
import socket
import subprocess
import sys
import tempfile

import pytest

from dmp.errors import DMPError
from dmp.running import lease
from dmp.running.lease import leased_gpus


class Machine:
    """Pretended GPUs, and jobs that hold shares of them until they are told to end."""

    def __init__(self, folder, gpus: str) -> None:
        self.folder, self.gpus = folder, gpus
        self.jobs: list[contextlib.ExitStack] = []
        self.looks = 0

    def start(self, share: int, gpus: int = 1, ends_while_waiting: int | None = None) -> str:
        """Start a job; while it waits, let that other one end. Returns what CUDA sees."""

        def waited() -> None:
            self.looks += 1
            assert ends_while_waiting is not None, "the job does not fit"
            self.jobs[ends_while_waiting].close()

        environment = {lease.VISIBLE: self.gpus}
        job = contextlib.ExitStack()
        job.enter_context(leased_gpus(gpus, share, environment, self.folder, waited))
        self.jobs.append(job)
        return environment[lease.VISIBLE]


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path, "a,b")
    yield machine
    for job in machine.jobs:
        job.close()


def test_jobs_go_to_the_freest_gpu(machine):
    assert [machine.start(25) for _ in range(8)] == ["a", "b"] * 4


def test_shares_are_rounded_up_to_slots(machine):
    assert [machine.start(60), machine.start(60), machine.start(25)] == ["a", "b", "a"]
    assert machine.start(1) == "b"


def test_job_that_does_not_fit_waits_until_one_ends(machine):
    assert [machine.start(50) for _ in range(4)] == ["a", "b", "a", "b"]
    assert machine.start(50, ends_while_waiting=3) == "b"
    assert machine.looks == 1


def test_several_gpus_are_held_whole(machine):
    machine.start(25)
    assert machine.start(25, gpus=2, ends_while_waiting=0) == "a,b"
    assert machine.start(25, ends_while_waiting=1) == "a"


def test_waiting_job_holds_nothing(machine):
    """Two jobs that each held half of what both need would wait for ever."""
    machine.start(50)
    held = []

    def waited() -> None:
        held.append(len(lease._free_slots(machine.folder, "a")))
        machine.jobs[0].close()

    with leased_gpus(2, 100, {lease.VISIBLE: "a,b"}, machine.folder, waited):
        pass
    assert held == [2]


def test_environment_is_as_before_once_the_lease_ends(tmp_path):
    environment = {lease.VISIBLE: "a,b"}
    with leased_gpus(1, 100, environment, tmp_path):
        assert environment == {lease.VISIBLE: "a"}
    assert environment == {lease.VISIBLE: "a,b"}


def test_killed_job_frees_its_gpu(tmp_path):
    code = (
        "import os, sys; from dmp.running.lease import leased_gpus\n"
        "with leased_gpus(1, 100, os.environ, __import__('pathlib').Path(sys.argv[1])):\n"
        "    print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"CUDA_VISIBLE_DEVICES": "a"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "a\n"
        machine, waits = Machine(tmp_path, "a"), []

        def waited() -> None:
            waits.append(process.poll())
            process.kill()
            process.wait()

        with leased_gpus(1, 100, {lease.VISIBLE: "a"}, machine.folder, waited):
            assert waits == [None]


def test_number_and_uuid_of_a_gpu_meet_at_the_same_lock(monkeypatch):
    monkeypatch.setattr(lease, "installed_gpus", lambda: ["GPU-x", "GPU-y"])
    assert lease.usable_gpus({}) == ["GPU-x", "GPU-y"]
    assert lease.usable_gpus({lease.VISIBLE: "1"}) == ["GPU-y"]
    assert lease.usable_gpus({lease.VISIBLE: "GPU-y"}) == ["GPU-y"]


@pytest.mark.parametrize(
    ("installed", "environment", "advice"),
    [
        ([], {}, "set execution.gpus in the scale"),
        # Those of the node belong to other jobs unless Slurm gives them.
        (["GPU-x"], {"SLURM_JOB_ID": "7"}, "`gpu` under set-resources in the profile"),
        ([], {"SLURM_JOB_ID": "7", lease.VISIBLE: "NoDevFiles"}, "to a partition that has them"),
    ],
)
def test_job_without_gpu_is_one_clear_error(monkeypatch, tmp_path, installed, environment, advice):
    monkeypatch.setattr(lease, "installed_gpus", lambda: installed)
    with pytest.raises(DMPError) as caught:
        with leased_gpus(1, 100, dict(environment), tmp_path):
            pass
    message = str(caught.value)
    assert f"needs 1 GPU, and {socket.gethostname()} has none that it may use" in message
    assert advice in message
    assert "CUDA_VISIBLE_DEVICES= (empty)" in message


@pytest.mark.parametrize(
    ("gpus", "environment"),
    [
        (0, {}),
        (1, {"CUDA_VISIBLE_DEVICES": ""}),
        (2, {"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_ID": "7"}),
    ],
    ids=["none needed", "CPU on purpose", "given by Slurm"],
)
def test_nothing_is_leased_where_there_is_nothing_to_choose(tmp_path, gpus, environment):
    before = dict(environment)
    with leased_gpus(gpus, 100, environment, tmp_path / "locks"):
        assert environment == before
    assert not (tmp_path / "locks").exists()


def test_gpu_that_torch_cannot_use_is_an_error_and_no_slow_run(monkeypatch):
    monkeypatch.setenv(lease.VISIBLE, "GPU-x")
    with pytest.raises(DMPError, match="but torch cannot use it"):
        lease.check_device(1, "cpu")
    lease.check_device(1, "cuda")
    lease.check_device(0, "cpu")
    monkeypatch.setenv(lease.VISIBLE, "")
    lease.check_device(1, "cpu")


@pytest.mark.parametrize("place", ["", "/not/there", None])
def test_folder_of_another_login_is_not_asked_for_the_locks(monkeypatch, place):
    if place is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", place)
    assert str(lease.lease_folder()).startswith(tempfile.gettempdir())
