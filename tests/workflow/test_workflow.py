"""The whole DAG on real images: every stage, every table, and only what has changed."""

import base64
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_results import without_times
from harness import ROOT, edit_yaml, make_tiny, planned, run_command, snakemake

# The command line, in a process where torch cannot be imported.
WITHOUT_TORCH = """
import sys
class Torch:
    def find_spec(name, *_):
        assert name != "torch"
sys.meta_path.insert(0, Torch)
from dmp.cli import main
main()
"""


def pages(results: Path) -> dict[Path, bytes]:
    """All tables, figures and verdicts of a scale."""
    root = results / "smoke"
    paths = [*root.glob("claims.*"), *root.glob("tables/*"), *root.glob("figures/*/[!.]*")]
    return {path: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with results and ablations of a small workflow that ran to the end on two cores."""
    folder = tmp_path_factory.mktemp("workflow")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    # A second study of the same cells, so that there is something that an edit must not touch.
    shutil.copy(ablations / "studies/table2.yaml", ablations / "studies/other.yaml")
    snakemake("tables", place=folder, cores=2)
    return folder


@pytest.fixture
def edit(finished):
    """Change a file of ablations/ for a test, and put it back afterwards."""
    before: dict[Path, str] = {}

    def change(name: str, how) -> None:
        path = finished / "ablations" / name
        before.setdefault(path, path.read_text())
        edit_yaml(path, how)

    yield change
    for path, text in before.items():
        path.write_text(text)


def dry_run(place: Path) -> dict[str, int]:
    """Which jobs the tables would need."""
    return planned(snakemake("tables", "-n", place=place))


def test_tables_exist_in_every_format_and_say_that_nothing_may_be_concluded(finished):
    tables = finished / "results/smoke/tables"
    for study in ("table1", "table2"):
        for suffix in (".csv", ".md", ".tex", ".html"):
            assert (tables / f"{study}{suffix}").stat().st_size > 100
    text = (tables / "table2.md").read_text()
    assert "no conclusion may be drawn" in text
    assert "6.27" in text
    assert "−0.40" in text


def test_tables_hold_what_the_runs_computed(finished):
    results = finished / "results/smoke"
    cells = pd.read_csv(results / "tables/table2.csv").set_index(["variant", "metric"])
    for variant in ("baseline", "dmp"):
        values = []
        for seed in (0, 1):
            path = results / f"runs/unconditional/{variant}/seed{seed}/metrics.csv"
            metrics = pd.read_csv(path)
            values.append(metrics.loc[metrics["metric"] == "fid", "value"].item())
        assert cells.loc[(variant, "fid"), "mean"] == pytest.approx(sum(values) / 2)


def test_unconverged_baseline_marks_the_table(finished):
    text = (finished / "results/smoke/tables/table2.md").read_text()
    baselines = pd.read_csv(finished / "results/smoke/numbers/tables-baselines.csv")
    assert ("†" in text) == (not baselines["converged"].all())


def test_every_row_says_where_it_came_from(finished):
    rows = pd.read_csv(finished / "results/smoke/numbers/tables.csv")
    assert not rows.isna().any().any()
    for path in (finished / "results/smoke/runs").rglob("config.json"):
        config = json.loads(path.read_text())
        assert config["hash"] in set(rows["config"])
        protocols = json.loads((path.parent / "protocols.json").read_text())
        assert set(protocols) <= set(rows["protocol"])


def test_variants_of_a_seed_share_their_noise(finished):
    """After a few iterations from zero prompts, DMP's samples are the baseline's, hardly moved."""
    import numpy as np

    images = {}
    for variant in ("baseline", "dmp"):
        for seed in (0, 1):
            run = finished / f"results/smoke/runs/unconditional/{variant}/seed{seed}"
            images[variant, seed] = np.load(run / "samples.npz")["images"].astype(float)
    paired = abs(images["dmp", 0] - images["baseline", 0]).mean()
    unpaired = abs(images["baseline", 1] - images["baseline", 0]).mean()
    assert 0 < paired < 0.2 * unpaired


def test_every_claim_has_a_verdict_and_figures(finished):
    results = finished / "results/smoke"
    evaluated = pd.read_csv(results / "claims.csv")
    assert set(evaluated["claim"]) == {"C02", "C06", "C17"}
    text = (results / "claims.md").read_text()
    assert "none of them may be believed" in text
    for name in ("claims-forest", "claims-evidence", "claims-paper"):
        for suffix in (".svg", ".png"):
            assert (results / "figures/claims" / f"{name}{suffix}").stat().st_size > 1000


def test_rebuilding_gives_the_same_bytes_without_torch(finished, tmp_path):
    results = Path(shutil.copytree(finished / "results", tmp_path / "results"))
    before = pages(results)
    for path in before:
        path.unlink()
    options = ("--scale", "smoke", "--results", str(results))
    options = (*options, "--ablations", str(finished / "ablations"))
    process = run_command(sys.executable, "-c", WITHOUT_TORCH, "rebuild", *options)
    assert process.returncode == 0, process.stderr
    after = pages(results)
    assert after.keys() == before.keys()
    assert [path.name for path in before if after[path] != before[path]] == []


def test_rebuilding_without_numbers_is_one_clear_error(finished, tmp_path):
    process = run_command(
        *("dmp", "rebuild", "--scale", "smoke", "--results", str(tmp_path)),
        *("--ablations", str(finished / "ablations")),
    )
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    assert f"{tmp_path / 'smoke'} has no numbers of any study" in process.stderr


def test_report_begins_with_the_verdicts_and_holds_tables_and_figures_with_captions(
    finished, tmp_path
):
    path = tmp_path / "report.html"
    said = snakemake("tables", "--report", str(path), place=finished)
    assert "Missing metadata" not in said
    text = path.read_text(encoding="utf-8")
    for part in ("table2-denoising-unconditional.png", "claims-forest.png", "table1.html"):
        assert part in text
    assert "Drawn from the same runs" in text
    for title in ("Further training of converged backbones", "Change of the denoising loss"):
        assert title in text
    verdicts = pd.read_csv(finished / "results/smoke/claims-verdicts.csv")
    (description,) = re.findall(r"^.*On Stable Diffusion v1.5 DMP gains.*$", text, re.MULTILINE)
    assert "too small for any conclusion" in description
    for row in verdicts.itertuples():
        assert row.claim in description
        assert row.verdict in description


def test_mlflow_holds_every_run(finished):
    with sqlite3.connect(finished / "results/mlflow.db") as store:
        names = {name for (name,) in store.execute("select name from runs")}
    assert {f"dmp · uncond · s{seed}" for seed in (0, 1)} <= names
    assert "pretraining · uncond · s0" in names


def test_second_run_does_nothing_and_says_so(finished):
    assert "Nothing to be done" in snakemake("tables", place=finished, cores=2)


def test_edited_cell_reruns_that_cell_and_what_hangs_on_it(finished, edit):
    """The study 'other' does not hang on the edited cell, and neither does any other run."""

    def change(study: dict) -> None:
        study["cells"][1].update(variant="dmp,depth=1")
        study["comparisons"][0].update(variant="dmp,depth=1")

    edit("studies/table2.yaml", change)
    # The page of 'other' stays.
    expected = {"bundle": 1, "collect": 2, "pages": 1, "track": 1, "tables": 1}
    assert dry_run(finished) == expected


def test_added_seeds_leave_the_baseline_and_the_runs_of_others_alone(finished, edit):
    asked = planned(snakemake("tables", "-n", place=finished, config=("seeds=5",)))
    edit("scales/smoke.yaml", lambda d: d.update(seeds=5))
    assert asked == dry_run(finished)
    # Of each of two variants, seeds 2 and 3 are a job, and seed 4 is one.
    assert asked["bundle"] == 4
    assert not {"pretrain", "extractor", "reference", "parameters", "speed"} & set(asked)


PAGES = {"collect": 4, "pages": 2, "claims": 1}
METRICS = {"bundle": 2, **PAGES}
RUNS = {"pretrain": 1, "converge": 1, **METRICS}
# One setting for each set of jobs; which settings share one is the table of tests/products.
EDITS = {
    "stands_for": (lambda d: d["tasks"]["unconditional"].update(stands_for="FFHQ"),
                   {"pages": 3}),
    "tolerance": (lambda d: d["defaults"]["pretraining"].update(convergence_tolerance=0.5), PAGES),
    "convergence_samples": (
        lambda d: d["defaults"]["pretraining"].update(convergence_samples=32),
        {"converge": 1, **PAGES},
    ),
    "kid_subsets": (lambda d: d["defaults"]["evaluation"].update(kid_subsets=5), METRICS),
    "extractor": (
        lambda d: d["defaults"]["evaluation"]["extractor"].update(epochs=2),
        {"extractor": 1, "reference": 1, "converge": 1, **METRICS},
    ),
    # The variant 'baseline' is not trained further.
    "training": (
        lambda d: d["defaults"]["training"].update(batch_size=48),
        {**METRICS, "bundle": 1},
    ),
    "pretraining": (lambda d: d["defaults"]["pretraining"].update(batch_size=32), RUNS),
    "log_every": (lambda d: d["defaults"]["training"].update(log_every=5), {}),
    "seeds": (lambda d: d.update(seeds=1), PAGES),
    "seeds_per_job": (lambda d: d["execution"].update(seeds_per_job=1), {}),
    "job": (lambda d: d["execution"].update(job="stage", sampling_shards=2), {}),
}  # fmt: skip


@pytest.mark.parametrize("setting", EDITS)
def test_edited_setting_reruns_what_it_decides(finished, edit, setting):
    change, expected = EDITS[setting]
    edit("scales/smoke.yaml", change)
    assert dry_run(finished) == (expected and {**expected, "track": 1, "tables": 1})


def test_edit_is_recognised_where_snakemake_remembers_nothing(finished, tmp_path):
    """Moved, too, and only what the edit decides runs again."""
    for name in ("results", "ablations"):
        shutil.copytree(finished / name, tmp_path / name)
    edit_yaml(tmp_path / "ablations/scales/smoke.yaml", EDITS["kid_subsets"][0])
    assert dry_run(tmp_path).keys() == {*METRICS, "track", "tables"}


def test_moved_results_are_recognised_whatever_their_times(finished, tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    subprocess.run(["cp", "-r", finished / "results", finished / "ablations", place], check=True)
    without_times(place / "results", 0)
    said = snakemake("tables", "-n", place=place)
    assert planned(said) == {}
    count = int(re.search(r"recognised (\d+) results of scale smoke", said)[1])
    assert count == len(list((place / "results/smoke").rglob(".fingerprints/**/*.json")))
    assert "recognised" not in snakemake("tables", "-n", place=place)
    # In place, where Snakemake remembers what it did, likewise.
    without_times(finished / "results", 1)
    assert dry_run(finished) == {}


@pytest.mark.parametrize("how", ["its file", "the command line"])
def test_run_computed_alone_updates_the_tables_afterwards(finished, tmp_path, how):
    for name in ("results", "ablations"):
        shutil.copytree(finished / name, tmp_path / name)
    run = tmp_path / "results/smoke/runs/unconditional/dmp/seed0"
    shutil.rmtree(run)
    assert dry_run(tmp_path)["bundle"] == 1
    if how == "its file":
        snakemake(str(run / "finished"), place=tmp_path)
    else:
        options = ("--results", f"{tmp_path}/results", "--ablations", f"{tmp_path}/ablations")
        run_command("dmp", "run", "unconditional", "dmp", "--scale", "smoke", *options)
    assert dry_run(tmp_path) == {**PAGES, "track": 1, "tables": 1}


def test_bare_snakemake_has_the_default_profile(tmp_path):
    """A failing job's own words are shown, and a killed one runs again unasked."""
    process = run_command(
        *("snakemake", "tables", "-n", "--nolock", "--config", "scale=smoke"), f"results={tmp_path}"
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "profiles/default" in process.stderr
    rule = """
rule told:
    output: "made"
    log: "words"
    shell: "echo the one clear error > {log}; test -e fixed && touch {output}"
"""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Snakefile").write_text(rule)
    (folder / "profiles").symlink_to(ROOT / "profiles")
    process = run_command("snakemake", "--cores", "1", cwd=folder)
    assert "the one clear error" in process.stdout + process.stderr
    # As if it had been killed while the job ran.
    (folder / "made").touch()
    marker = base64.b64encode(b"made").decode()
    incomplete = folder / ".snakemake/incomplete"
    incomplete.mkdir(exist_ok=True)
    (incomplete / marker).touch()
    (folder / "fixed").touch()
    process = run_command("snakemake", "--cores", "1", cwd=folder)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.smoke
def test_same_bytes_for_one_core_and_two_and_any_order(finished, tmp_path):
    shutil.copytree(finished / "ablations", tmp_path / "ablations")
    asked = ("numbers/tables.csv", "tables/table2.md")
    snakemake(*(str(tmp_path / "results/smoke" / name) for name in asked), place=tmp_path)
    for name in (
        *asked,
        "numbers/tables-baselines.csv",
        "tables/table2.csv",
        "figures/table2/table2-denoising-unconditional.svg",
    ):
        first, second = (place / "results/smoke" / name for place in (finished, tmp_path))
        assert first.read_bytes() == second.read_bytes(), name
