"""``dmp track``: which experiments, parents and tags a scale's runs get."""

import shutil
from pathlib import Path

import pytest
from harness import ROOT, edit_yaml, make_tiny
from mlflow import MlflowClient
from tracking_helpers import by_name, make_run

from dmp.errors import DMPError
from dmp.files import read_json, write_json
from dmp.layout import Layout
from dmp.products.results import tracking_product
from dmp.stages.track import track
from dmp.stages.watch import all_ended
from dmp.studies import Plan, load_plan

TASK = "unconditional"


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Plan:
    """One task, two seeds, and two studies that share a cell."""
    folder = tmp_path_factory.mktemp("track")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d.update(seeds=2))
    shutil.copy(ablations / "studies/table2.yaml", ablations / "studies/table9.yaml")

    def other(data: dict) -> None:
        data["cells"][0]["variant"] = "prompt-tuning"
        data["comparisons"] = [{"variant": "dmp", "against": "prompt-tuning"}]

    edit_yaml(ablations / "studies/table9.yaml", other)
    return load_plan("smoke", ablations)


@pytest.fixture
def layout(plan, store) -> Layout:
    """The files of a finished scale, beside an MLflow store that is created already."""
    layout = Layout(store.parent, "smoke")
    cells = [(layout.run(*run), *run) for run in plan.runs("tables")]
    for task, seed in plan.baselines("tables"):
        cells.append((layout.pretrained(task, seed), task, "pretraining", seed))
    for folder, task, variant, seed in cells:
        path = make_run(folder, seed) / "config.json"
        write_json(path, read_json(path) | {"task": task, "variant": variant})
    layout.tables.mkdir()
    for name in ("table1", "table2", "table9"):
        (layout.tables / f"{name}.md").write_text(name)
    layout.figures("table2").mkdir(parents=True)
    (layout.figures("table2") / "denoising.png").write_bytes(b"png")
    return layout


def artifacts(client: MlflowClient, run, path=None) -> set[str]:
    return {entry.path for entry in client.list_artifacts(run.info.run_id, path)}


def test_each_study_is_an_experiment_that_is_complete(plan, layout, client):
    said = track(plan, layout, "tables")

    assert said == "MLflow experiments 'smoke/...': 9 runs added, 0 replaced, 0 unchanged"
    for study, other in (("table2", "baseline"), ("table9", "prompt-tuning")):
        found = by_name(client, f"smoke/{study}")
        parent = found.pop(study)
        cells = {f"{TASK}/{v}/seed00{seed}" for v in ("dmp", other) for seed in (0, 1)}
        assert set(found) == cells
        for run in found.values():
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            assert (run.data.tags["scale"], run.data.tags["study"]) == ("smoke", study)
        link = f"[dmp − {other}, {TASK}](#/compare-runs?runs="
        note = parent.data.tags["mlflow.note.content"]
        assert link in note
        assert all(run.info.run_id in note for run in found.values())
        assert f"{study}.md" in artifacts(client, parent)
    assert artifacts(client, by_name(client, "smoke/table2")["table2"], "figures") == {
        "figures/denoising.png"
    }


def test_counts_of_parameters_and_baselines_have_experiments_of_their_own(plan, layout, client):
    track(plan, layout, "tables")

    assert set(by_name(client, "smoke/table1")) == {"table1"}
    assert set(by_name(client, "smoke/baselines")) == {f"{TASK}/pretraining/seed000"}


def test_runs_are_tagged_with_the_claims_that_they_are_evidence_for(plan, layout, client):
    track(plan, layout, "tables")

    expected = {
        claim.id for claim, _, each in plan.claims.evidence() if (TASK, "dmp") in each.runs()
    }
    assert expected
    tags = by_name(client, "smoke/table2")[f"{TASK}/dmp/seed000"].data.tags
    assert set(tags["claims"].split()) == expected


def test_second_time_nothing_changes(plan, layout):
    track(plan, layout, "tables")
    summary = layout.tracking_summary("tables").read_bytes()

    assert track(plan, layout, "tables").endswith("0 runs added, 0 replaced, 9 unchanged")
    assert layout.tracking_summary("tables").read_bytes() == summary


def test_broken_run_holds_up_no_other_study_and_leaves_no_summary(plan, layout, client):
    (layout.run(TASK, "baseline", 0) / "log.jsonl").write_text("{\n")

    with pytest.raises(DMPError, match=r"log\.jsonl, line 1 is not a JSON"):
        track(plan, layout, "tables")

    assert not layout.tracking_summary("tables").exists()
    assert len(by_name(client, "smoke/table2")) == 4
    assert len(by_name(client, "smoke/table9")) == 5


def test_tables_do_not_wait_for_a_tracker_and_it_catches_up(plan, layout):
    """What it lacks stands in the summary, and the next call of the workflow tries again."""
    product = tracking_product(plan, layout, "tables")
    said = track(plan, layout, "tables", "mlruns", optional=True)
    assert said.startswith("warning: not all is in MLflow: 'mlruns' is not a tracking URI")
    summary = read_json(layout.tracking_summary("tables"))
    assert "'mlruns' is not a tracking URI" in summary["not tracked"]
    assert product.exists()
    assert not product.is_current()

    assert track(plan, layout, "tables", optional=True).endswith(
        "9 runs added, 0 replaced, 0 unchanged"
    )
    assert read_json(layout.tracking_summary("tables")) == {"experiment": "smoke", "runs": 9}
    assert product.is_current()


def test_store_is_never_written_elsewhere_than_beside_the_results(plan, tmp_path):
    layout = Layout(tmp_path / "a?b", "smoke")
    assert "a question mark ends the path" in track(plan, layout, "tables", optional=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a?b"]


def test_nothing_that_a_tracker_does_ends_the_tables(plan, layout, monkeypatch):
    monkeypatch.setattr("dmp.stages.track.ingest", lambda *_, **__: 1 / 0)
    said = track(plan, layout, "tables", optional=True)
    assert said == "warning: not all is in MLflow: division by zero"
    with pytest.raises(ZeroDivisionError):
        track(plan, layout, "tables")


def test_too_little_time_is_an_error_and_what_is_there_stays(plan, layout):
    with pytest.raises(DMPError, match="it answers too slowly"):
        track(plan, layout, "tables", give_up_after=0)

    assert track(plan, layout, "tables").endswith("9 runs added, 0 replaced, 0 unchanged")


def test_runs_that_still_train_or_are_not_there_yet_are_no_error(plan, layout, client):
    shutil.rmtree(layout.run(TASK, "dmp", 1))
    (layout.run(TASK, "dmp", 0) / "provenance.json").unlink()
    assert not all_ended(plan, layout, "tables")

    said = track(plan, layout, "tables")

    # Both studies have the two runs.
    assert said.endswith("5 runs added, 0 replaced, 0 unchanged; 2 are training, 2 not there yet")
    assert not layout.tracking_summary("tables").exists()
    found = by_name(client, "smoke/table2")
    assert found[f"{TASK}/dmp/seed000"].info.status == "RUNNING"
    assert found[f"{TASK}/dmp/seed000"].data.metrics == {"loss": 0.25}
