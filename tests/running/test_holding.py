"""Who holds a file lives; a process that was killed holds nothing, whatever its number."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmp.errors import DMPError
from dmp.running import holding
from dmp.running.holding import hold, is_dead, read_holder, told, try_hold

HOLDER = """
import sys
from pathlib import Path
from dmp.running.holding import try_hold
file = try_hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "held")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_holder_that_lives_is_known_and_one_that_was_killed_is_dead(tmp_path, other):
    path = tmp_path / "held"
    assert try_hold(path) is None
    assert not is_dead(path)
    assert f"process {other.pid} of " in told(read_holder(path))
    other.kill()
    other.wait()
    assert is_dead(path)
    assert try_hold(path) is not None


def test_who_comes_second_is_told_whom_it_waits_for(tmp_path, other):
    said = []

    def waiting(who: str) -> None:
        said.append(who)
        other.kill()
        other.wait()

    with hold(tmp_path / "held", waiting, poll_seconds=0) as waited:
        assert waited
        assert (tmp_path / "held").exists()
    assert len(said) == 1
    assert said[0].startswith(f"process {other.pid} of ")
    assert not (tmp_path / "held").exists()


def test_nobody_waits_for_a_file_that_nobody_holds(tmp_path):
    (tmp_path / "held").write_text("left by one that was killed")
    with hold(tmp_path / "held", pytest.fail) as waited:
        assert not waited
    assert not (tmp_path / "held").exists()


@pytest.mark.parametrize(
    ("system", "dead"), [("nfs", False), ("lustre", False), ("", False), ("ext4", True)]
)
def test_holder_of_another_machine_is_dead_only_if_none_can_see_the_file(
    tmp_path, monkeypatch, system, dead
):
    path = tmp_path / "held"
    path.write_text(json.dumps({"process": "1", "boot": "of another machine"}))
    monkeypatch.setattr(holding, "_file_system", lambda path: system)
    assert is_dead(path) == dead


def test_kind_of_file_system_is_what_the_kernel_says(tmp_path, monkeypatch):
    device = tmp_path.stat().st_dev
    line = f"1 2 {os.major(device)}:{os.minor(device)} / /mnt/a\\040b rw shared:1 - nfs4 h:/x rw\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"3 4 0:0 / / rw - ext4 / rw\n{line}")
    assert holding._file_system(tmp_path) == "nfs4"


def test_file_system_without_locks_holds_up_nobody(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with hold(tmp_path / "held", pytest.fail) as waited:
        assert not waited


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DMPError, match="a file stands where a folder is needed"):
        with hold(tmp_path / "file/held", pytest.fail):
            pass
