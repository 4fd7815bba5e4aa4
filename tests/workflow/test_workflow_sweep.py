"""Sweeps as a workflow: a worker is a job, a second start does nothing, an edit reruns its part."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from fake_results import without_times
from harness import ROOT, TINY_SWEEP, edit_yaml, make_tiny, planned, snakemake


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a workflow of one sweep that ran to the end on two cores."""
    place = tmp_path_factory.mktemp("sweep-workflow")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", place / "ablations")))
    for path in (ablations / "sweeps").iterdir():
        path.unlink()
    (ablations / "sweeps/tiny.yaml").write_text(yaml.safe_dump(TINY_SWEEP))
    found = planned(snakemake("sweep", place=place, cores=2))
    # One job for each worker, and for the base and the best point.
    assert found["sweep_worker"] == 2
    assert found["sweep_confirm"] == 2
    return place


def test_sweep_ends_with_all_trials_and_its_page(finished):
    root = finished / "results/smoke/sweeps/tiny"
    trials = pd.read_csv(root / "trials.csv")
    assert (trials["state"] == "complete").sum() == 4
    confirmed = pd.read_csv(root / "confirmed.csv")
    assert list(confirmed["seeds"]) == [2, 2]
    assert "no conclusion may be drawn" in (root / "tiny.md").read_text()


def test_report_begins_with_what_a_finished_sweep_came_to(finished, tmp_path):
    path = tmp_path / "report.html"
    told = finished / "results/smoke/sweeps/tiny/confirmed.csv"
    snakemake(str(told), "--report", str(path), place=finished)
    page = (finished / "results/smoke/sweeps/tiny/tiny.md").read_text()
    (outcome,) = (line for line in page.splitlines() if "fresh seeds." in line and "Δ" in line)
    # As text of the first page, and as a label of the page of the sweep.
    assert path.read_text(encoding="utf-8").count(outcome.split("Δ")[0]) >= 2


def test_second_start_does_nothing(finished):
    assert "Nothing to be done" in snakemake("sweep", "-n", place=finished)


def test_sweep_is_recognised_whatever_the_times_of_its_files(finished, tmp_path):
    """Elsewhere, and in place, where Snakemake remembers what it did."""
    elsewhere = Path(shutil.copytree(finished, tmp_path / "elsewhere"))
    for seed, place in enumerate((elsewhere, finished)):
        without_times(place / "results", seed)
        said = snakemake("sweep", "-n", place=place)
        assert "Nothing to be done" in said
        assert "results of sweep tiny at scale smoke that were moved here" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trails": 3}, "tiny.yaml: unknown key 'trails': did you mean 'trials'?"),
        (
            {
                "parameters": [
                    {"name": "grid", "kind": "categorical", "choices": [3]},
                    {"name": "resize", "kind": "categorical", "choices": ["nearest"]},
                ]
            },
            "tiny.yaml: parameters: no point can exist for task 'unconditional'",
        ),
    ],
    ids=["unknown key", "no point"],
)
def test_wrong_sweep_is_one_clear_error_before_anything_runs(finished, tmp_path, change, message):
    shutil.copytree(finished / "ablations", tmp_path / "ablations")
    edit_yaml(tmp_path / "ablations/sweeps/tiny.yaml", lambda data: data.update(change))
    said = snakemake("sweep", place=tmp_path, fails=True)
    assert f"error: {tmp_path}/ablations/sweeps/{message}" in said
    # Snakemake says in which rule; of our own code there is no traceback.
    assert '.py", line' not in said
    assert not (tmp_path / "results").exists()
