import json
import os

import numpy as np
import pytest
from harness import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from dmp.errors import DMPError
from dmp.stages.provenance import write_config
from dmp.studies import load_plan
from dmp.studies.run import PRETRAINING
from dmp.tracking.record import flatten, run_record, run_title

PROVENANCE = {
    "commit": "1f7137f",
    "dirty": False,
    "versions": {"torch": "2.6"},
    "device": "cpu",
    "machine": "Linux",
    "started": "2026-01-31T12:00:00Z",
    "finished": "2026-01-31T13:00:01+01:00",
}


@pytest.fixture(scope="module")
def plan():
    return load_plan("smoke", ROOT / "ablations")


@pytest.fixture
def configure(plan):
    """Return what writes a folder's ``config.json`` as the run of a variant does."""

    def configured(folder, variant):
        pretraining = variant == PRETRAINING
        own = ("class-conditional", 2) if pretraining else ("class-conditional", variant, 2)
        run = (plan.pretraining if pretraining else plan.run)(*own)
        write_config(folder, run)
        (folder / ".config.json.sha256").unlink()  # tests change the file
        return run

    return configured


@pytest.fixture
def folder(tmp_path, configure):
    folder = tmp_path / "seed2"
    folder.mkdir()
    configure(folder, "dmp,depth=1")
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    (folder / "log.jsonl").write_text('{"step": 40, "time": 1.0, "loss": 0.5}\n')
    (folder / "metrics.csv").write_text("metric,bin,iteration,value\nfid,all,30,20.5\n")
    (folder / "samples.png").write_bytes(b"png")
    save_file(
        {"prompts": np.zeros((2, 4, 3), np.float32)},
        folder / "weights.safetensors",
        {"dmp": '{"sha256": "ab"}'},
    )
    np.savez(folder / "gate.npz", timesteps=[0, 9], weights=np.full((2, 1, 4), 0.25))
    return folder


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_run_is_described_by_its_configuration_and_provenance(folder, configure):
    run = configure(folder, "dmp,depth=1")
    record = run_record(folder)

    assert record.name == "class-conditional/dmp,depth=1/seed002"
    assert record.title == "dmp,depth=1 · class-cond · s2"
    assert record.tags == {
        "task": "class-conditional",
        "variant": "dmp,depth=1",
        "seed": "002",
        "cell": "dmp,depth=1 · class-cond",
        "baseline_seed": str(run.baseline_seed).zfill(3),
        "commit": "1f7137f",
        "config_hash": run.hash,
        "mlflow.source.git.commit": "1f7137f",
    }
    expected = {"method": "dmp", "options.gate": "linear", "options.depth": "1"}
    expected |= {"config.conditioning": "class", "sampling_seed": "2"}
    assert expected.items() <= record.params.items()
    # 2026-01-31T12:00:00Z, by `date --date ... +%s`
    assert (record.start_ms, record.end_ms) == (1769860800000, 1769860801000)


def test_title_begins_with_the_method_and_is_short():
    assert run_title("unconditional", "dmp", 10) == "dmp · uncond · s10"
    assert run_title("text-conditional", "baseline", 0) == "baseline · text-cond · s0"


def test_commit_with_uncommitted_changes_is_marked(folder):
    rewrite(folder / "provenance.json", dirty=True)

    assert run_record(folder).tags["commit"] == "1f7137f-dirty"


SMALL = {"config.json", "provenance.json", "metrics.csv", "samples.png", "log.jsonl", "gate.npz"}
PATCH = {"patch/weights.safetensors"}


@pytest.mark.parametrize("variant", ["dmp,depth=1", "prompt-tuning", "bitfit", "difffit"])
def test_what_a_method_has_added_is_kept(folder, configure, variant):
    configure(folder, variant)
    record = run_record(folder)
    assert set(record.artifacts) == SMALL | PATCH
    assert record.artifacts["patch/weights.safetensors"] == folder / "weights.safetensors"


def test_adapter_is_kept_as_peft_reads_it(folder, configure):
    configure(folder, "lora")
    adapter = folder / "weights.peft"
    adapter.mkdir()
    names = ("adapter_config.json", "adapter_model.safetensors")
    for name in (*names, ".adapter_config.json.sha256"):
        (adapter / name).write_text("{}")
    found = set(run_record(folder).artifacts)
    assert found == SMALL | PATCH | {f"patch/weights.peft/{name}" for name in names}


@pytest.mark.parametrize("variant", ["fine-tuning", "baseline", PRETRAINING])
def test_whole_models_are_not_kept(folder, configure, variant):
    configure(folder, variant)
    assert set(run_record(folder).artifacts) == SMALL


def test_what_is_too_large_for_a_tracker_is_not_kept(folder, monkeypatch):
    size = (folder / "weights.safetensors").stat().st_size
    monkeypatch.setattr("dmp.tracking.record.MAX_PATCH_BYTES", size)
    assert set(run_record(folder).artifacts) == SMALL | PATCH
    monkeypatch.setattr("dmp.tracking.record.MAX_PATCH_BYTES", size - 1)
    assert set(run_record(folder).artifacts) == SMALL


def test_final_metrics_stand_at_the_last_step_and_the_end_time(folder):
    assert run_record(folder).read_points() == [
        ("final/fid", 20.5, 1769860801000, 40),
        ("loss", 0.5, 1000, 40),
    ]


def test_dataset_has_the_hash_of_what_the_metrics_compared_with(folder, configure):
    data = configure(folder, "dmp").config.data.model_dump(mode="json")
    before = run_record(folder).dataset
    reference = {"sha256": "ab" * 32, "images": 1438}
    protocols = {"1a": {"kind": "denoising"}, "2b": {"kind": "samples", "reference": reference}}
    (folder / "protocols.json").write_text(json.dumps(protocols))
    after = run_record(folder).dataset

    assert (before.name, after.name) == ("digits", "digits")
    assert before.digest.startswith("config-")
    assert after.digest == "ab" * 18
    assert json.loads(after.source) == data
    assert json.loads(after.profile) == reference


CHANGES = {
    name: lambda path: path.write_bytes(path.read_bytes() + b"\n")  # still readable
    for name in ("config.json", "provenance.json", "log.jsonl", "metrics.csv", "samples.png")
} | {
    "weights.safetensors": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "gate.npz": lambda path: path.rename(path.with_name("convergence.json")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_digest_follows_the_content_of_each_file_and_nothing_else(folder, name):
    before = run_record(folder).digest
    path = folder / name
    os.utime(path, (0, 0))
    assert run_record(folder).digest == before

    CHANGES[name](path)
    assert run_record(folder).digest != before


def test_digest_follows_the_tags_and_not_the_weights_that_are_not_kept(folder, configure):
    assert len({run_record(folder, {"claims": ids}).digest for ids in ("C01", "C01 C02")}) == 2

    configure(folder, "fine-tuning")
    before = run_record(folder).digest
    (folder / "weights.safetensors").write_bytes(b"others")
    assert run_record(folder).digest == before


REQUIRED = ("task", "variant", "seed", "baseline_seed", "hash", "config")


def missing(key):
    return lambda values: {k: v for k, v in values.items() if k != key}, f"missing key '{key}'"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        *(("config.json", *missing(key)) for key in REQUIRED),
        ("config.json", lambda values: values | {"config": {"method": "dpm"}}, "method 'dpm'"),
        ("provenance.json", *missing("dirty")),
        ("provenance.json", lambda values: values | {"finished": "yesterday"}, "'finished' = "),
        # Without a zone it would be another moment on another machine.
        ("provenance.json", lambda values: values | {"started": "2026-01-31T12:00:00"}, "timezone"),
        *((name, lambda _: [], name) for name in ("config.json", "provenance.json")),
    ],
)
def test_file_that_is_not_what_it_should_be_is_named(folder, name, change, message):
    path = folder / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DMPError, match=rf"{name}: .*{message}|{message}: "):
        run_record(folder)


@pytest.mark.parametrize("name", ["config.json", "provenance.json"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DMPError, match=f"{name} does not exist"):
        run_record(folder)


KEYS = st.text("abc_0", min_size=1, max_size=3)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.lists(st.text())
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_flattened_configuration_can_be_built_up_again(config):
    rebuilt: dict = {}
    for key, text in flatten(config).items():
        *parents, last = key.split(".")
        inner = rebuilt
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = json.loads(text)

    assert rebuilt == config
