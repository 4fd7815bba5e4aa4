"""Sweeps as a workflow: a worker is a job, a second start does nothing, an edit reruns its part."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from fake_results import without_times
from harness import ROOT, edit_yaml, make_tiny, run_command

RULES = "".join(
    f'include: "{ROOT}/workflow/rules/{name}.smk"\n'
    for name in ("common", "prepare", "train", "compare", "common_sweep", "sweep")
)
SNAKEFILE = f"{RULES}\nrule sweep:\n    default_target: True\n    input: sweeps_of(SCALE)\n"
SWEEP = {
    "title": "A tiny sweep",
    "task": "unconditional",
    "base": "dmp",
    "objectives": ["denoising_mse", "added_parameters"],
    "trials": 4,
    "workers": 2,
    "parameters": [
        {"name": "position", "kind": "categorical", "choices": ["add", "prepend"]},
        {
            **{"name": "prompts", "kind": "int", "low": 1, "high": "tokens"},
            "when": {"position": "prepend"},
        },
    ],
    "confirmation": {"points": 1, "seeds": 2},
}


def snakemake(place: Path, *arguments: str) -> str:
    process = run_command(
        *("snakemake", "--snakefile", str(place / "Snakefile"), "--nolock", *arguments, "--config"),
        *("scale=smoke", f"results={place / 'results'}", f"ablations={place / 'ablations'}"),
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def jobs(text: str) -> dict[str, int]:
    lines = text.split("Job stats:")[1].splitlines()[3:]
    rows = [line.split() for line in lines[: lines.index("")]]
    return {name: int(count) for name, count in rows}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a workflow of one sweep that ran to the end on two cores."""
    place = tmp_path_factory.mktemp("sweep-workflow")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", place / "ablations")))
    for path in (ablations / "sweeps").iterdir():
        path.unlink()
    (ablations / "sweeps/tiny.yaml").write_text(yaml.safe_dump(SWEEP))
    (place / "Snakefile").write_text(SNAKEFILE)
    found = jobs(snakemake(place, "--cores", "2"))
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


def test_second_start_does_nothing(finished):
    assert "Nothing to be done" in snakemake(finished, "--cores", "1", "-n")


def test_sweep_is_recognised_whatever_the_times_of_its_files(finished, tmp_path):
    """Elsewhere, and in place, where Snakemake remembers what it did."""
    elsewhere = Path(shutil.copytree(finished, tmp_path / "elsewhere"))
    for seed, place in enumerate((elsewhere, finished)):
        without_times(place / "results", seed)
        said = snakemake(place, "--cores", "1", "-n")
        assert "Nothing to be done" in said
        assert "results of sweep tiny at scale smoke that were moved here" in said


@pytest.mark.parametrize(
    ("change", "rerun"),
    [
        ({"trials": 6}, {"sweep_worker": 2, "sweep_confirm": 2, "sweep_report": 1}),
        ({"workers": 3}, {"sweep_worker": 3, "sweep_confirm": 2, "sweep_report": 1}),
        ({"title": "Another heading"}, {"sweep_report": 1}),
    ],
    ids=["trials", "workers", "title"],
)
def test_edit_reruns_what_hangs_on_it_and_no_baseline(finished, change, rerun):
    path = finished / "ablations/sweeps/tiny.yaml"
    before = path.read_text()
    try:
        edit_yaml(path, lambda data: data.update(change))
        found = jobs(snakemake(finished, "--cores", "1", "-n"))
    finally:
        path.write_text(before)
    assert found == {**rerun, "sweep": 1, "total": sum(rerun.values()) + 1}


def test_sweep_of_which_no_point_can_exist_is_one_error_before_anything_runs(finished):
    """In another folder, where baseline and reference are not there yet either."""
    path = finished / "ablations/sweeps/tiny.yaml"
    before = path.read_text()
    nothing = [
        {"name": "grid", "kind": "categorical", "choices": [3]},
        {"name": "resize", "kind": "categorical", "choices": ["nearest"]},
    ]
    try:
        edit_yaml(path, lambda data: data.update(parameters=nothing))
        process = run_command(
            *("snakemake", "--snakefile", str(finished / "Snakefile"), "--nolock", "--cores", "1"),
            *("--config", "scale=smoke", f"ablations={finished / 'ablations'}"),
            f"results={finished / 'elsewhere'}",
        )
    finally:
        path.write_text(before)
    assert process.returncode != 0
    said = process.stdout + process.stderr
    assert "error: " in said
    assert "tiny.yaml: parameters: no point can exist for task 'unconditional'" in said
    # Snakemake says in which rule; of our own code there is no traceback.
    assert '.py", line' not in said
    assert not (finished / "elsewhere").exists()


def test_wrong_sweep_is_one_clear_error(finished):
    path = finished / "ablations/sweeps/tiny.yaml"
    before = path.read_text()
    try:
        edit_yaml(path, lambda data: data.update(trails=3))
        process = run_command(
            *("snakemake", "--snakefile", str(finished / "Snakefile"), "--nolock", "-n"),
            *("--cores", "1", "--config", "scale=smoke", f"ablations={finished / 'ablations'}"),
        )
    finally:
        path.write_text(before)
    assert process.returncode != 0
    said = process.stdout + process.stderr
    assert "tiny.yaml: unknown key 'trails': did you mean 'trials'?" in said
    assert "Traceback" not in said
