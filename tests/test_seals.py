"""A file that has a seal is what was written, wherever it is; one of an earlier version is read."""

import hashlib
import json
import os
import re
import stat
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fuzz_kinds import _gate, _old_samples, _old_tensor_file, _product, _record

from dmp import seals
from dmp.arrayfile import load_arrays, save_arrays
from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, atomic_path, read_json, write_csv, write_json, write_text
from dmp.layout import Layout
from dmp.metrics.features import load_features
from dmp.products.product import read_record
from dmp.reporting.figures.data import FigureData
from dmp.runlog import RunLog, read_log
from dmp.statistics.results import read_csv
from dmp.tensorfile import load_tensors, read_description, save_tensors

RUN = ("t", "dmp", 0)
MEND = re.escape(STAGE_OUTPUT.damaged)


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"prompts", b"promptz"), (b"abc123", b"abc122"), (b"F32", b"I32"), (b"[2,3]", b"[3,2]")],
    ids=["name", "identity", "dtype", "shape"],
)
def test_what_a_header_says_is_covered_wherever_the_file_is_copied_to(tmp_path, old, new):
    path = tmp_path / "w.safetensors"
    save_tensors(path, {"prompts": torch.zeros(2, 3)}, {"identity": "abc123"})
    copy = tmp_path / "elsewhere" / "copy.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert read_description(copy) == {"identity": "abc123"}
    change(copy, old, new)
    for read in (load_tensors, read_description):
        with pytest.raises(DMPError, match=rf"copy.safetensors is truncated .*checksum\); {MEND}"):
            read(copy, STAGE_OUTPUT)


def test_header_of_an_array_is_covered_which_numpy_itself_does_not_notice(tmp_path):
    """Of an earlier version's archives as well: their own sums are looked at."""
    rows = np.arange(90_000, dtype=np.float32).reshape(300, 300)
    save_arrays(tmp_path / "new.npz", {"features": rows, "logits": rows})
    np.savez(tmp_path / "old.npz", features=rows, logits=rows)
    for name in ("new.npz", "old.npz"):
        path = tmp_path / name
        change(path, b"(300, 300)", b"(300, 299)")
        with np.load(path) as file:
            assert file["features"].shape == (300, 299)
        with pytest.raises(DMPError, match=rf"{name} is truncated or corrupt .*checksum"):
            load_features(path)


def test_array_of_a_run_that_is_lost_is_no_run_without_a_gate(tmp_path):
    path, layout = _gate(tmp_path), Layout(tmp_path, "s")
    data = FigureData(None, None, [0], layout)
    assert data.gate(*RUN).values.shape == (3, 2, 4)
    assert data.normalised_entropy(*RUN) is None
    change(path, b"weights", b"weightz")
    with pytest.raises(DMPError, match=r"gate.npz is truncated"):
        data.gate(*RUN)
    # As an earlier version, or somebody's script, leaves it.
    np.savez(path, timesteps=np.arange(3), weightz=np.ones((3, 2, 4)))
    with pytest.raises(DMPError, match=r"gate.npz lacks weights, and has timesteps, weightz"):
        data.gate(*RUN)
    save_arrays(path, {})
    assert data.gate(*RUN) is None


def test_one_array_under_the_name_of_an_archive_is_refused(tmp_path):
    with (tmp_path / "r.npz").open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(DMPError, match=r"r.npz holds one array and no archive of several"):
        load_arrays(tmp_path / "r.npz")


def test_table_cut_at_a_line_is_noticed(tmp_path):
    path = tmp_path / "metrics.csv"
    write_csv(path, pd.DataFrame({"metric": ["fid", "kid"], "value": [1.5, 2.5]}))
    assert len(read_csv(path, {"metric": str, "value": float})) == 2
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(DMPError, match=rf"metrics.csv is truncated .*checksum\); {MEND}"):
        read_csv(path, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"a,b\n1\n", "row 1 is not as long as its header"),
        (b"a,a\n1,2\n", "its header has 'a' twice"),
        (b"\xff\xfe\0\1" * 9, "truncated or corrupt"),
    ],
)
def test_what_is_no_table_is_one_error(tmp_path, content, message):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(DMPError, match=message):
        read_csv(tmp_path / "metrics.csv", {})


@pytest.mark.parametrize(
    "text", ['{"a": 1e999}', '{"a": 1, "a": 2}', "[" * 10**5, r'{"a": "\ud800"}', '{"a":']
)
def test_json_that_another_program_would_not_read_alike_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DMPError, match=r"a.json is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_kill_between_seal_and_file_leaves_both_as_they_belong_together(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    for value in range(3):
        write_json(path, value)
    for written in ("replace", "nothing"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):

            def killed(source, target, written=written, real=os.replace):
                if str(target).endswith(".sha256"):
                    return real(source, target)
                if written == "replace":
                    real(source, target)
                raise KeyboardInterrupt

            patched.setattr("pathlib.Path.replace", killed)
            write_json(path, "new")
        assert read_json(path) == ("new" if written == "replace" else 2)
        write_json(path, 2)
    path.write_text("3\n")
    with pytest.raises(DMPError, match="checksum"):
        read_json(path)


def test_damaged_seal_is_no_missing_seal(tmp_path):
    write_json(tmp_path / "a.json", 1)
    seals.beside(tmp_path / "a.json").write_text("")
    with pytest.raises(DMPError, match="checksum"):
        read_json(tmp_path / "a.json")


def test_files_of_an_earlier_version_are_read(tmp_path):
    tensors, description = load_tensors(_old_tensor_file(tmp_path))
    assert len(tensors) == 4
    assert description == read_description(tmp_path / "w.safetensors") == {"format": "weights"}
    assert load_features(_old_samples(tmp_path)).features.shape == (6, 4)
    (tmp_path / "a.json").write_text("[1]")
    assert read_json(tmp_path / "a.json") == [1]
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[:-1])
    with pytest.raises(DMPError, match="truncated or corrupt"):
        read_description(tmp_path / "w.safetensors")


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_modes_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(2)}, {})
        save_arrays(tmp_path / "a.npz", {"a": np.zeros(2)})
        write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [1]}))
        with RunLog(tmp_path / "log.jsonl", 0) as log:
            log.write(1, {"loss": 1.0})
        with atomic_path(tmp_path / "p.png") as temporary:
            temporary.unlink()  # as libraries do that rename a file of their own into place
            temporary.touch(mode=0o600)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes) >= {"w.safetensors", "a.npz", "t.csv", ".t.csv.sha256", "log.jsonl", "p.png"}
    assert set(modes.values()) == {0o666 & ~umask}, modes


def test_damaged_record_is_no_edit_and_neither_is_a_damaged_file_of_a_training(tmp_path):
    record, product = _record(tmp_path), _product(tmp_path)
    assert product.is_current()
    whole = record.read_bytes()
    change(record, b"abc123", b"abc122")
    with pytest.raises(DMPError, match=r"w.json .*copy it again"):
        product.is_current()
    record.write_bytes(whole)
    # Its provenance cut off must not cost the weights; one that was deleted is made again.
    provenance = product.files[1]
    provenance.write_text("{")
    with pytest.raises(DMPError, match=r"provenance.json is truncated"):
        product.is_current()
    provenance.unlink()
    assert not product.is_current()
    assert read_record(record).fingerprint == "abc123"


def test_records_of_an_earlier_version_stay_current(tmp_path):
    _record(tmp_path)
    for seal in tmp_path.rglob(".*.sha256"):
        seal.unlink()
    assert _product(tmp_path).is_current()


def log_of(path: Path) -> list[bytes]:
    with RunLog(path, 0) as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": 1 / step})
    return path.read_bytes().splitlines(keepends=True)


def test_damaged_log_stops_no_training_and_is_set_aside(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    lines = log_of(path)
    damaged = lines[0] + b'{"step": \xff}\n' + lines[2]
    path.write_bytes(damaged)
    with pytest.raises(DMPError, match=r"log.jsonl is truncated or corrupt"):
        read_log(path)
    seals.beside(path).unlink()  # as after a kill
    with RunLog(path, 20) as log:
        log.write(30, {"loss": 0.5})
    assert [point.step for point in read_log(path)] == [10, 30]
    assert (tmp_path / "log-damaged.jsonl").read_bytes() == damaged
    said = capsys.readouterr().out
    assert re.match(
        r"warning: .*log.jsonl, line 2 is not a JSON object.*1 lines of it are kept", said
    )


def test_sealed_log_that_has_changed_begins_anew_since_nobody_can_say_where(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = log_of(path)
    path.write_bytes(lines[0] + lines[2])
    with RunLog(path, 30) as log:
        log.write(40, {"loss": 0.5})
    assert [point.step for point in read_log(path)] == [40]


def test_full_disk_at_the_first_line_is_the_error_that_is_seen(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(DMPError, match=r"cannot write .*log.jsonl: no space is left"),
        Path("/dev/full").open("ab", buffering=0) as full,
        RunLog(tmp_path / "log.jsonl", 0) as log,
    ):
        log._file.close()
        log._file = full
        log.write(1, {"loss": 1.0})


def test_archive_with_a_comment_of_others_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.comment = b"made by hand"
    assert load_arrays(tmp_path / "a.npz")["a"].sum() == 2


def test_text_can_be_checked_by_the_tools_of_the_system(tmp_path):
    write_json(tmp_path / "a.json", {"fid": 1.5})
    digest = hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()
    assert seals.beside(tmp_path / "a.json").read_text() == f"{digest}\n"
    write_text(tmp_path / "page.md", "a page")
    assert not seals.beside(tmp_path / "page.md").exists()
    assert json.loads((tmp_path / "a.json").read_text()) == {"fid": 1.5}
