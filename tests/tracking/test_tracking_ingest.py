import contextlib
import json
import math
import re
import shutil
import sqlite3
import sys
from urllib.parse import parse_qsl

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from tracking_helpers import (
    artifact_folder,
    by_name,
    history,
    make_parent,
    make_run,
    only_run,
    runs_of,
    write_log,
)

import dmp.tracking.store
from dmp.errors import DMPError
from dmp.tracking import IngestReport, Parent, ingest
from dmp.tracking.parent import describe


def test_two_first_ingests_at_once_share_the_work_and_one_store(fresh):
    path, outcomes = fresh
    reports = sorted(out.splitlines()[0] for out, _ in outcomes)

    assert reports == ["0 0 3", "3 0 0"]
    assert len(runs_of(MlflowClient(f"sqlite:///{path}"))) == 3


def test_kill_while_the_store_is_created_leaves_none(tmp_path, monkeypatch):
    path = tmp_path / "killed" / "mlflow.db"

    def killed(engine):
        # In the middle of MLflow's migrations.
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE evaluation_datasets (half INTEGER)")
        raise KeyboardInterrupt

    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest([], f"sqlite:///{path}", "digits")
    assert [left.name for left in path.parent.iterdir()] == ["mlflow.db.lock"]


def test_command_is_silent_and_sends_no_telemetry_and_loads_no_torch(fresh):
    for out, err in fresh[1]:
        assert err == ""
        assert out.splitlines()[1] == "False None"


def test_repeated_ingest_changes_nothing(uri, client, folder, tmp_path):
    folders = [folder, make_run(tmp_path / "runs" / "seed1", seed=1)]
    assert ingest(folders, uri, "digits") == IngestReport(2, 0, 0)
    before = [run.to_dictionary() for run in runs_of(client)]

    assert ingest(folders, uri, "digits") == IngestReport(0, 0, 2)
    assert [run.to_dictionary() for run in runs_of(client)] == before


def test_run_carries_name_tags_parameters_and_times(uri, client, folder):
    ingest([folder], uri, "digits")

    run = only_run(client)
    assert run.info.run_name == "dmp,depth=1 · class · s0"
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (1769860800000, 1769860801000)
    assert run.data.params == {"method": "dmp"}
    expected = {"task": "class", "variant": "dmp,depth=1", "seed": "000"}
    expected |= {"baseline_seed": "000", "commit": "1f7137f", "config_hash": "92b52ff7055d"}
    assert expected.items() <= run.data.tags.items()
    assert len(run.data.tags["dmp.folder_digest"]) == 64
    assert run.data.metrics == {"loss": 0.25, "final/fid": 20.5, "final/fid/0-99": 1e-300}


def test_histories_and_parameters_of_any_length_arrive_whole(uri, client, tmp_path, monkeypatch):
    monkeypatch.setattr("dmp.tracking.record.MAX_RECORDS", 10_000)
    # More than one request of MLflow's (1,000 metrics, 100 parameters) of each kind.
    records = [(step, 1 / (step + 3)) for step in range(2345)]
    settings = {f"key{i}": {"a": i, "b": "x" * 10_000} for i in range(75)}
    folder = make_run(tmp_path / "long", records=records, settings=settings)

    ingest([folder], uri, "digits")

    run = only_run(client)
    assert history(client, run, "loss") == records
    (first, *_) = client.get_metric_history(run.info.run_id, "loss")
    assert first.timestamp == 1_000_500 + 1000 * first.step
    assert len(run.data.params) == 150
    assert run.data.params["key74.a"] == "74"


def test_values_that_are_not_finite_do_not_harm_others(uri, client, tmp_path):
    records = [(1, 0.5), (2, math.nan), (3, math.inf), (4, -math.inf), (5, 0.25)]

    ingest([make_run(tmp_path / "diverged", records=records)], uri, "digits")

    run = only_run(client)
    one, two, three, four, five = (value for _, value in history(client, run, "loss"))
    assert (one, five) == (0.5, 0.25)
    assert math.isnan(two)
    # What MLflow's SQL stores have in place of infinity.
    assert (three, four) == (sys.float_info.max, -sys.float_info.max)
    assert run.data.metrics["final/fid"] == 20.5


def test_artifacts_lie_beside_the_store_byte_for_byte(uri, client, store, folder):
    ingest([folder], uri, "digits")

    run = only_run(client)
    kept = artifact_folder(run)
    assert kept.is_relative_to(store.parent / "mlartifacts" / "digits")
    names = {"config.json", "provenance.json", "metrics.csv", "samples.png", "log.jsonl"}
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        name: (folder / name).read_bytes() for name in names
    }


def test_changed_folder_replaces_its_run_and_no_other(uri, client, folder, tmp_path):
    other = make_run(tmp_path / "runs" / "seed1", seed=1)
    ingest([folder, other], uri, "digits")
    before = by_name(client)
    write_log(folder, [(10, 0.75)])

    assert ingest([folder, other], uri, "digits") == IngestReport(0, 1, 1)

    after = by_name(client)
    unchanged = "class/dmp,depth=1/seed001"
    assert len(runs_of(client)) == 2
    assert after[unchanged].info.run_id == before[unchanged].info.run_id
    assert history(client, after["class/dmp,depth=1/seed000"], "loss") == [(10, 0.75)]


STEPS = ["create_run", "log_batch", "log_artifacts", "set_terminated", "set_tag"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["delete_run", *STEPS])
@pytest.mark.parametrize("with_study", [False, True])
def test_ingest_killed_at_any_step_is_made_good_by_the_next(
    uri, client, folder, tmp_path, monkeypatch, step, moment, with_study
):
    comparisons = [("one", ["class/dmp,depth=1/seed000"])]
    parent = make_parent(tmp_path, comparisons=comparisons) if with_study else None
    ingest([folder], uri, "digits")
    write_log(folder, [(10, 0.75)])
    original = getattr(MlflowClient, step)

    def killed(*args, **kwargs):
        if moment == "after":
            original(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MlflowClient, step, killed)
        ingest([folder], uri, "digits", parent=parent)
    assert len(runs_of(client)) <= 1 + with_study
    report = ingest([folder], uri, "digits", parent=parent)

    # Only with its last step done is a run complete.
    assert report.unchanged == ((step, moment) == ("set_tag", "after"))
    runs = by_name(client)
    run = runs.pop("class/dmp,depth=1/seed000")
    assert (len(runs_of(client)), run.info.status) == (1 + with_study, "FINISHED")
    assert history(client, run, "loss") == [(10, 0.75)]
    assert len(list(artifact_folder(run).iterdir())) == 5
    for study in runs.values():
        assert run.data.tags["mlflow.parentRunId"] == study.info.run_id
        assert run.info.run_id in study.data.tags["mlflow.note.content"]
        assert (artifact_folder(study) / "tables/table2.md").is_file()
        assert study.info.status == "FINISHED"


def test_what_was_deleted_by_hand_comes_back_once_and_other_programs_runs_stay(uri, client, folder):
    ingest([folder], uri, "digits")
    run = only_run(client)
    client.delete_run(run.info.run_id)
    assert ingest([folder], uri, "digits") == IngestReport(1, 0, 0)

    run = only_run(client)
    client.create_run(run.info.experiment_id, run_name=run.info.run_name)
    # As two processes leave it that feed a server at once.
    tags = {**run.data.tags, "dmp.folder_digest": "another writer's"}
    client.create_run(run.info.experiment_id, tags=tags)
    client.delete_experiment(run.info.experiment_id)
    assert ingest([folder], uri, "digits") == IngestReport(0, 0, 1)
    # MLflow brings the deleted run back with the experiment, too.
    assert sorted("dmp.record" in each.data.tags for each in runs_of(client)) == [False, True]


def test_folder_that_cannot_be_read_does_not_hold_up_others(uri, client, folder, tmp_path):
    ingest([folder], uri, "digits")
    other = make_run(tmp_path / "runs" / "seed1", seed=1)
    (folder / "log.jsonl").write_text("{\n")
    named = make_run(tmp_path / "runs" / "seed2", seed=2, settings={"a@b": 1})

    with pytest.raises(DMPError, match=r"log\.jsonl, line 1 is not a JSON.*1 more") as error:
        ingest([folder, named, other], uri, "digits")

    assert str(folder) in str(error.value)
    complete = [name for name, run in by_name(client).items() if run.info.status == "FINISHED"]
    # The run that stood there before still stands.
    assert sorted(complete) == ["class/dmp,depth=1/seed000", "class/dmp,depth=1/seed001"]
    with pytest.raises(DMPError, match=r"MLflow cannot take class/dmp,depth=1/seed002: .*a@b"):
        ingest([named], uri, "digits")


def test_two_folders_of_one_run_are_refused(uri, client, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")

    with pytest.raises(DMPError, match=f"{copy} and {folder} both hold the run class/dmp"):
        ingest([folder, copy], uri, "digits")
    assert len(runs_of(client)) == 1


def test_study_is_the_parent_of_its_runs_and_follows_its_tables(uri, client, folder, tmp_path):
    parent = make_parent(tmp_path)
    folders = [folder, make_run(tmp_path / "runs" / "seed1", seed=1)]
    ingest([folder], uri, "digits")
    # A run that was there before its study becomes its child.
    assert ingest(folders, uri, "digits", parent=parent) == IngestReport(1, 0, 1)
    first = by_name(client)
    study = first.pop("table2")
    assert {run.data.tags["mlflow.parentRunId"] for run in first.values()} == {study.info.run_id}
    assert "mlflow.parentRunId" not in study.data.tags
    assert study.data.tags["study"] == "table2"
    assert (artifact_folder(study) / "tables/table2.md").read_text() == "old"

    (tmp_path / "table2.md").write_text("new")
    assert ingest(folders, uri, "digits", parent=parent) == IngestReport(0, 0, 2)
    again = by_name(client)
    # Its children and its links name it: it is never replaced.
    assert again["table2"].info.run_id == study.info.run_id
    assert (artifact_folder(study) / "tables/table2.md").read_text() == "new"
    unchanged = again["table2"].to_dictionary()
    ingest(folders, uri, "digits", parent=parent)
    assert by_name(client)["table2"].to_dictionary() == unchanged


def test_study_links_to_the_comparison_of_its_runs(uri, client, folder, tmp_path):
    parent = make_parent(tmp_path)
    ingest([folder], uri, "digits", parent=parent)
    assert "compare-runs" not in by_name(client)["table2"].data.tags["mlflow.note.content"]

    folders = [folder, make_run(tmp_path / "runs" / "seed1", seed=1)]
    ingest(folders, uri, "digits", parent=parent)
    runs = by_name(client)
    note = runs["table2"].data.tags["mlflow.note.content"]
    (link,) = re.findall(r"^- \[dmp − other\]\(#/compare-runs\?(.*)\)$", note, re.MULTILINE)
    query = {key: json.loads(value) for key, value in parse_qsl(link)}
    assert query["runs"] == [runs[f"class/dmp,depth=1/seed00{seed}"].info.run_id for seed in (0, 1)]
    assert query["experiments"] == [runs["table2"].info.experiment_id]


def test_links_that_do_not_fit_are_counted():
    names = [f"run{number}" for number in range(10)]
    ids = {name: name[-1] * 32 for name in names}
    parent = Parent("table2", "Table 2", comparisons=[(f"pair {i}", names) for i in range(60)])

    note = describe(parent, "3", ids)
    shown, (more,) = note.count("compare-runs"), re.findall(r"(\d+) more", note)

    assert shown + int(more) == 60
    assert shown > 10
    assert len(note) <= 8000


def test_store_in_use_for_too_long_is_an_error(uri, store, folder, monkeypatch):
    monkeypatch.setattr(dmp.tracking.store, "LOCK_TIMEOUT_S", 0.05)

    with (
        FileLock(f"{store}.lock"),
        pytest.raises(DMPError, match=f"another process has been writing to {store}"),
    ):
        ingest([folder], uri, "digits")


def test_store_that_another_program_has_locked_is_told_from_one_that_is_broken(
    uri, store, folder, monkeypatch
):
    monkeypatch.setattr(dmp.tracking.store, "BUSY_TIMEOUT_S", 0)
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DMPError, match=r"another program has it locked .*; let that end") as e:
            ingest([folder], uri, "digits")
    assert "free" not in str(e.value)
    assert ingest([folder], uri, "digits").created == 1


def test_store_that_is_no_database_is_an_error_at_once(folder, tmp_path):
    path = tmp_path / "mlflow.db"
    path.write_text("not a database, but long enough to be taken for one" * 10)

    with pytest.raises(DMPError, match=f"store {path}: its file is damaged, or of another kind"):
        ingest([folder], f"sqlite:///{path}", "digits")
    with pytest.raises(DMPError, match="cannot write the MLflow store"):
        ingest([folder], f"sqlite:///{path}/below a file/mlflow.db", "digits")


def test_store_that_fails_midway_is_an_error_without_chatter(uri, store, client, folder, capfd):
    ingest([folder], uri, "digits")
    write_log(folder, [(10, 0.75)])
    with sqlite3.connect(store) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON metrics "
            "BEGIN SELECT RAISE(ABORT, 'no space is left'); END"
        )

    with pytest.raises(
        DMPError, match=f"MLflow store {store}: no space is left on its device .*; free"
    ):
        ingest([folder], uri, "digits")

    assert capfd.readouterr() == ("", "")
    with sqlite3.connect(store) as connection:
        connection.execute("DROP TRIGGER full")
    ingest([folder], uri, "digits")
    assert history(client, only_run(client), "loss") == [(10, 0.75)]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        *((text, "is not a tracking URI; accepted are") for text in ("", "mlruns", "sqlite:///")),
        ("user:s3cret@host:5000", "is not a tracking URI; accepted are"),
        ("postgresql://me:s3cret@127.0.0.1/name", r"driver is not installed \("),
    ],
)
def test_address_that_is_no_store_is_an_error_without_its_password(folder, address, told):
    with pytest.raises(DMPError, match=told) as error:
        ingest([folder], address, "digits")

    assert "s3cret" not in str(error.value)
