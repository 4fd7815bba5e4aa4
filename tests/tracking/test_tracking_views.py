"""What a browser shows of MLflow that has never seen it; results that were moved."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tracking_helpers import artifact_folder, by_name, make_parent, make_run, runs_of

from dmp.errors import DMPError
from dmp.tracking import ingest
from dmp.tracking.headline import differences, numbers
from dmp.tracking.views import links

ADDRESS = "http://127.0.0.1:5000"
PAIRS = """task,variant,against,metric,mean,t_low,t_high
class,"dmp,depth=1",baseline,fid,-0.5,-1.0,0.25
class,"dmp,depth=1",baseline,kid,-0.5,-1.0,0.25
class,dmp,baseline,fid,,,
"""
CELLS = """task,variant,metric,mean,low,high
class,"dmp,condition=t+c",fid,9.5,,
class,dmp,denoising_mse,0.25,0.125,0.5
"""


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "table2-comparisons.csv").write_text(PAIRS)
    (tmp_path / "table2.csv").write_text(CELLS)
    (tmp_path / "table1.csv").write_text("backbone,parameters\nDiT-B/2,130\n")
    return tmp_path


def test_differences_are_told_with_their_intervals(tables):
    assert differences(tables / "table2-comparisons.csv") == {
        ("class", "dmp,depth=1", "baseline"): "Δ FID −0.50 [−1.00, 0.25]"
    }
    assert differences(tables / "absent.csv") == {}


def test_means_and_differences_have_names_that_mlflow_accepts(tables):
    assert numbers(tables, "table2") == {
        "mean/fid/class/dmp_condition_t_c": 9.5,
        "mean/denoising_mse/class/dmp": 0.25,
        "mean/denoising_mse/class/dmp/low": 0.125,
        "mean/denoising_mse/class/dmp/high": 0.5,
        "difference/fid/class/dmp_depth_1 - baseline": -0.5,
        "difference/fid/class/dmp_depth_1 - baseline/low": -1.0,
        "difference/fid/class/dmp_depth_1 - baseline/high": 0.25,
    }
    assert numbers(tables, "table1") == {}


def test_parent_and_experiment_carry_what_the_study_came_to(uri, client, folder, tmp_path):
    name = "class/dmp,depth=1/seed000"
    came_to = {"dmp − other": "Δ FID −0.50 [−1.00, 0.25]"}
    values = {"mean/fid/class/dmp": 9.5}
    parent = make_parent(
        tmp_path, comparisons=[("dmp − other", [name])], differences=came_to, metrics=values
    )
    ingest([folder], uri, "digits", parent=parent)

    study = by_name(client)["table2"]
    assert study.data.metrics == values
    experiment = client.get_experiment_by_name("digits")
    for note in (study.data.tags["mlflow.note.content"], experiment.tags["mlflow.note.content"]):
        assert note.startswith("**Table 2**; dmp − other: Δ FID −0.50 [−1.00, 0.25]\n")
        assert "[dmp − other](#/compare-runs?runs=" in note
        assert note.endswith("): Δ FID −0.50 [−1.00, 0.25]\n")


def test_links_open_views_with_fid_and_with_seeds_grouped(uri, client, folder):
    with pytest.raises(DMPError, match="no runs of scale 'digits' yet"):
        links(uri, ADDRESS, "digits")
    with pytest.raises(DMPError, match="no runs of scale 'digits' yet"):
        links("sqlite:////no/such/mlflow.db", ADDRESS, "digits")
    ingest([folder], uri, "digits/table2")
    ingest([], uri, "smoke/table2")

    experiment = client.get_experiment_by_name("digits/table2")
    page = f"{ADDRESS}/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey"
    assert links(uri, ADDRESS, "digits") == [
        "digits/table2",
        f"  every run: {page}=runs",
        f"  means of seeds: {page}=seeds",
    ]
    runs, seeds = (
        json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"]) for key in ("runs", "seeds")
    )
    assert runs["selectedColumns"][0] == "metrics.`final/fid`"
    _, name, *others = runs["columnOrder"]
    assert (name, others[0]) == ("attributes.`Run Name`", "metrics.`final/fid`")
    assert set(runs["columnWidths"]) <= set(runs["columnOrder"])
    assert [key["groupByData"] for key in seeds["groupBy"]["groupByKeys"]] == ["cell"]


def test_metrics_of_the_end_are_written_before_curves(uri, client, folder, monkeypatch):
    written = []
    original = MlflowClient.log_batch

    def log_batch(self, run_id, metrics=(), params=(), **more):
        written.extend(metric.key for metric in metrics)
        return original(self, run_id, metrics, params, **more)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    ingest([folder], uri, "digits")

    # The page of comparisons opens on the first.
    assert written[0] == "final/fid"


def test_store_that_was_moved_says_what_to_do_and_that_helps(uri, store, folder, tmp_path):
    other = make_run(tmp_path / "runs/seed1", seed=1)
    ingest([folder], uri, "digits/table2")
    before = store.read_bytes()
    # With a character that addresses spell differently.
    moved = Path(shutil.move(store.parent, tmp_path / "moved results"))
    store, artifacts = moved / "mlflow.db", moved / "mlartifacts"
    uri = f"sqlite:///{store}"

    told = re.escape(f"rename or delete {store} and {artifacts}, and run `dmp track` again")
    for command in (
        lambda: ingest([folder, other], uri, "digits/table2"),
        lambda: links(uri, ADDRESS, "digits"),
    ):
        with pytest.raises(DMPError, match=f"'digits/table2' keeps its artifacts in .*{told}"):
            command()
    assert store.read_bytes() == before

    store.unlink()
    shutil.rmtree(artifacts)
    # Spelled differently: to the other, this process still has a connection.
    uri = f"sqlite:///{moved}/./mlflow.db"
    assert ingest([folder, other], uri, "digits/table2").created == 2
    assert links(uri, ADDRESS, "digits")[0] == "digits/table2"
    client = MlflowClient(uri)
    for run in runs_of(client, "digits/table2"):
        assert artifact_folder(run).is_relative_to(artifacts / "digits/table2")
        made = folder if run.data.tags["seed"] == "000" else other
        kept = Path(client.download_artifacts(run.info.run_id, "config.json"))
        assert kept.read_bytes() == (made / "config.json").read_bytes()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_printed_link_shows_the_fid_of_each_seed_in_a_fresh_browser(server, tmp_path):
    folders = [make_run(tmp_path / f"runs/seed{seed}", seed=seed) for seed in range(2)]
    for seed, folder in enumerate(folders):
        (folder / "metrics.csv").write_text(
            f"metric,bin,iteration,value\nfid,all,30,{seed + 11.25}\n"
        )
    ingest(folders, server, "digits/table2")
    (link,) = (line.split(": ")[1] for line in links(server, server, "digits") if "every" in line)

    page = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={tmp_path / 'fresh'}", "--window-size=1900,1100"),
            *("--virtual-time-budget=30000", link),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout

    # MLflow puts a cell's text before the end of its column's name, in whatever elements.
    cells = re.findall(r'col-id="metrics\.`final/fid`".*?(?=col-id=)', page, re.DOTALL)
    shown = {number for cell in cells for number in re.findall(r">(\d+\.\d+)<", cell)}
    assert {"11.25", "12.25"} <= shown
