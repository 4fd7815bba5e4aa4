"""A file holds its old content or its new one, and failures are one clear sentence."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dmp import temporaries
from dmp.errors import DMPError
from dmp.files import atomic_path, read_json, write_json, write_text
from dmp.seals import beside
from dmp.tensorfile import load_tensors, read_description, save_tensors


@pytest.fixture
def full_disk(tmp_path):
    """A file on a device that is always full: the kernel's own ENOSPC."""
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    return tmp_path


def test_interrupted_write_keeps_the_old_content_and_leaves_nothing(tmp_path):
    target = tmp_path / "results.md"
    write_text(target, "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half of the ne")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_one_clear_error_and_nothing_half_written(full_disk):
    target = full_disk / "weights.json"
    write_json(target, {"old": True})
    with pytest.raises(DMPError, match=r"cannot write .*weights.json: no space is left"):
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            with open("/dev/full", "w") as file:  # noqa: PTH123
                file.write("x" * 10**5)
    assert read_json(target) == {"old": True}
    assert set(full_disk.iterdir()) == {target, beside(target)}


def test_full_disk_while_saving_tensors_is_the_same_error(tmp_path, monkeypatch):
    def fail(tensors, path, metadata):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("dmp.tensorfile.save_file", fail)
    with pytest.raises(DMPError, match=r"cannot write .*w.safetensors: no space is left"):
        save_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


def test_folder_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    # Patched, since a superuser may write everywhere.
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(DMPError, match=r"cannot write .*a.txt: permission denied.*--results"):
        write_text(tmp_path / "sub" / "a.txt", "x")


def test_file_where_a_folder_is_needed_is_named(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(DMPError, match=r"cannot write .*results.*"):
        write_text(tmp_path / "results" / "a.txt", "x")


def test_missing_json_is_named(tmp_path):
    with pytest.raises(DMPError, match=r"a.json does not exist"):
        read_json(tmp_path / "a.json")


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(20, 3, generator=generator),
        "count": torch.tensor(7),
        "half": torch.randn(4, generator=generator).bfloat16(),
    }


def test_tensors_and_description_come_back_exactly(tmp_path):
    save_tensors(tmp_path / "w.safetensors", tensors(), {"step": 3})
    loaded, description = load_tensors(tmp_path / "w.safetensors")
    assert description == read_description(tmp_path / "w.safetensors") == {"step": 3}
    for name, value in tensors().items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value)


def test_same_tensors_make_the_same_bytes(tmp_path):
    written = set()
    for _ in range(10):
        save_tensors(tmp_path / "w.safetensors", tensors(), {"step": 3})
        written.add((tmp_path / "w.safetensors").read_bytes())
    assert len(written) == 1


def test_every_truncation_and_one_flipped_bit_are_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    save_tensors(path, tensors(), {})
    whole = path.read_bytes()
    flipped = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    path.write_bytes(flipped)
    with pytest.raises(DMPError, match=r"w.safetensors is truncated or corrupt .*checksum"):
        load_tensors(path)
    for length in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(DMPError, match=r"w.safetensors is truncated or corrupt"):
            load_tensors(path)


def test_foreign_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file(tensors(), tmp_path / "w.safetensors")
    with pytest.raises(DMPError, match="was not written by dmp"):
        load_tensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_tensors_that_are_not_finite_are_named(tmp_path, dtype):
    spoiled = torch.tensor([1.0, float("nan")]).to(dtype)
    path = tmp_path / "patch.safetensors"
    save_tensors(path, {"prompts": spoiled, "gate": torch.ones(2), "step": torch.tensor(1)}, {})
    with pytest.raises(DMPError, match=r"NaN or infinite values in 1 of 3 tensors \(prompts\)"):
        load_tensors(path)
    assert load_tensors(path, finite=False)[0]["prompts"].float().isnan().any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_without_such_a_number_is_neither_written_nor_read(tmp_path, value):
    path = tmp_path / "convergence.json"
    write_json(path, {"fids": [1.0, 2.0]})
    with pytest.raises(DMPError, match=rf"convergence.json: found.fids.1 = {value}; a finite"):
        write_json(path, {"found": {"fids": [1.0, value]}, "samples": 3})
    assert read_json(path) == {"fids": [1.0, 2.0]}
    path = tmp_path / "others.json"
    path.write_text(json.dumps({"fid": value}))
    with pytest.raises(DMPError, match=r"others.json is not valid JSON \(it holds the number"):
        read_json(path)


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_processes_left_half_written_is_removed_and_nothing_else(tmp_path):
    place = temporaries.temporary_path(Path("x")).name.split("-")[1].split(".")[0]
    day = time.time() - 2 * 24 * 3600
    kept = {
        f".weights.{os.getpid()}-{place}.tmp.safetensors": None,  # of a process that lives
        f".weights.{gone()}-0badf00d.tmp.safetensors": None,  # of another machine
        f".weights.{gone()}.tmp.safetensors": None,  # of nobody knows whom
        "weights.safetensors": day,
        ".fingerprints/weights.json": day,
        "notes.1.tmp.txt": day,  # not hidden
    }
    removed = {
        f".weights.{gone()}-{place}.tmp.safetensors": None,
        f".finished.{gone()}-{place}.tmp": None,
        f".weights.{gone()}-0badf00d.tmp.npz": day,
        f".weights.{gone()}.tmp.npz": day,
        f".adapter.{gone()}-{place}.tmp.safetensors.x1y2/adapter.json": None,
    }
    for name, moment in {**kept, **removed}.items():
        path = tmp_path / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
        if moment:
            os.utime(path, (moment, moment))
    assert temporaries.remove_left_over(tmp_path) == len(removed)
    left = {str(p.relative_to(tmp_path / "runs")) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(kept)
