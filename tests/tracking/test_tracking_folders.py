import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import _validate_metric

from dmp.errors import DMPError
from dmp.tracking.folders import run_record, tables_record
from dmp.tracking.record import MAX_PARAM_LENGTH, check_name, flatten

CONFIG = {
    "scale": "digits",
    "task": "class",
    "variant": "dmp,depth=1",
    "seed": 2,
    "baseline_seed": 0,
    "hash": "92b52ff7055d",
    "config": {"method": "dmp", "patch": {"gate": {"name": "linear"}, "sizes": [1, 2]}},
}
PROVENANCE = {
    "commit": "1f7137f",
    "dirty": False,
    "versions": {"torch": "2.6"},
    "device": "cpu",
    "machine": "Linux",
    "started": "2026-01-31T12:00:00Z",
    "finished": "2026-01-31T13:00:01+01:00",
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "seed2"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    (folder / "log.jsonl").write_text('{"step": 40, "time": 1.0, "loss": 0.5}\n')
    (folder / "metrics.csv").write_text("metric,bin,iteration,value\nfid,all,30,20.5\n")
    (folder / "samples.png").write_bytes(b"png")
    (folder / "weights.safetensors").write_bytes(b"weights")
    return folder


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_run_is_described_by_its_configuration_and_provenance(folder):
    record = run_record(folder)

    assert record.name == "class/dmp,depth=1/seed2"
    assert record.tags == {
        "task": "class",
        "variant": "dmp,depth=1",
        "seed": "2",
        "baseline_seed": "0",
        "commit": "1f7137f",
        "config_hash": "92b52ff7055d",
    }
    assert record.params == {
        "method": "dmp",
        "patch.gate.name": "linear",
        "patch.sizes": "[1, 2]",
    }
    # 2026-01-31T12:00:00Z, by `date --date ... +%s`
    assert (record.start_ms, record.end_ms) == (1769860800000, 1769860801000)


def test_commit_with_uncommitted_changes_is_marked(folder):
    rewrite(folder / "provenance.json", dirty=True)

    assert run_record(folder).tags["commit"] == "1f7137f-dirty"


def test_final_metrics_stand_at_the_last_step_and_the_end_time(folder):
    assert run_record(folder).read_points() == [
        ("loss", 0.5, 1000, 40),
        ("final/fid", 20.5, 1769860801000, 40),
    ]


def test_small_files_are_artifacts_and_weights_are_not(folder):
    names = {path.name for path in run_record(folder).artifacts}

    assert names == {"config.json", "provenance.json", "metrics.csv", "samples.png"}


@pytest.fixture
def tokyo(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_time_without_zone_means_the_same_moment_everywhere(folder):
    rewrite(folder / "provenance.json", started="2026-01-31T12:00:00")

    assert time.timezone == -9 * 3600
    assert run_record(folder).start_ms == 1769860800000


@pytest.mark.parametrize(
    "name", ["config.json", "provenance.json", "log.jsonl", "metrics.csv", "samples.png"]
)
def test_digest_follows_the_content_of_each_file(folder, name):
    before = run_record(folder).digest
    path = folder / name
    content = path.read_bytes()
    # White space for JSON, so that the folder still reads.
    path.write_bytes(content + b"\n")
    changed = run_record(folder).digest
    path.write_bytes(content)
    os.utime(path, (0, 0))

    assert changed != before
    assert run_record(folder).digest == before


def test_digest_follows_which_files_there_are(folder):
    before = run_record(folder).digest
    (folder / "metrics.csv").rename(folder / "convergence.json")

    assert run_record(folder).digest != before


def test_digest_does_not_follow_weights(folder):
    before = run_record(folder).digest
    (folder / "weights.safetensors").write_bytes(b"others")

    assert run_record(folder).digest == before


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name, value in (("config.json", CONFIG),) for key in value if key != "scale"]
    + [("provenance.json", key) for key in ("commit", "dirty", "started", "finished")],
)
def test_missing_key_is_named(folder, name, key):
    path = folder / name
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))

    with pytest.raises(DMPError, match=rf"{name} has no key '{key}'"):
        run_record(folder)


@pytest.mark.parametrize("name", ["config.json", "provenance.json"])
def test_missing_or_corrupt_file_is_named(folder, name):
    for text in ("[]", "{"):
        (folder / name).write_text(text)
        with pytest.raises(DMPError, match=name):
            run_record(folder)
    (folder / name).unlink()
    with pytest.raises(DMPError, match=f"{name} does not exist"):
        run_record(folder)


@pytest.mark.parametrize("value", ["yesterday", None, 5])
def test_time_that_is_none_is_named(folder, value):
    rewrite(folder / "provenance.json", finished=value)

    with pytest.raises(DMPError, match=r"provenance\.json: finished = "):
        run_record(folder)


KEYS = st.text("abc_0", min_size=1, max_size=3)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.lists(st.text())
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_flattened_configuration_can_be_built_up_again(config):
    rebuilt: dict = {}
    for key, text in flatten(config, Path("config.json")).items():
        *parents, last = key.split(".")
        inner = rebuilt
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = json.loads(text)

    assert rebuilt == config


@pytest.mark.parametrize("length", [MAX_PARAM_LENGTH, MAX_PARAM_LENGTH + 1])
def test_long_value_is_cut_and_says_so(length):
    text = flatten({"key": "x" * length}, Path("config.json"))["key"]

    assert len(text) == MAX_PARAM_LENGTH
    assert (str(length) in text) == (length > MAX_PARAM_LENGTH)


def test_key_that_mlflow_cannot_take_is_named():
    with pytest.raises(DMPError, match=r"folder/config\.json: MLflow .* 'a\.b@c'"):
        flatten({"a": {"b@c": 1}}, Path("folder/config.json"))


@given(
    st.text("ab/.:_ -@\n", max_size=6)
    | st.text(max_size=4)
    | st.integers(240, 260).map("a".__mul__)
)
def test_accepted_names_are_those_that_mlflow_accepts(name):
    try:
        _validate_metric(name, 1.0, 0, 0)
        # MLflow's pattern lets one line end at the end of a name pass, by oversight.
        expected = not name.endswith("\n")
    except MlflowException:
        expected = False
    try:
        check_name(name, "here")
        accepted = True
    except DMPError:
        accepted = False

    assert accepted == expected


def test_tables_are_markdown_and_csv(tmp_path):
    for name in ("table2.md", "table2.csv", "table2.tex", "table1.md"):
        (tmp_path / name).write_text(name)

    record = tables_record(tmp_path)

    assert record.name == "tables"
    assert {path.name for path in record.artifacts} == {"table2.md", "table2.csv", "table1.md"}
    assert record.read_points() == []


def test_folder_without_tables_is_named(tmp_path):
    with pytest.raises(DMPError, match=f"{tmp_path} holds no table"):
        tables_record(tmp_path)
