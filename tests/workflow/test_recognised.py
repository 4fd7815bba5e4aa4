"""What would run of results that are there: nothing that is current, wherever and whose it is.

The results are none that were computed, so that every way of dividing the work can be looked at.
"""

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from fake_results import make_products, without_times
from harness import ROOT, TINY_SWEEP, edit_yaml, make_tiny, planned, snakemake

from dmp.layout import Layout
from dmp.products.product import read_record
from dmp.products.recognise import all_products
from dmp.products.runs import run_products
from dmp.products.sweeps import SweepProducts
from dmp.stages.run import complete_run
from dmp.studies import load_plan
from dmp.sweeps.loading import load_sweep

NOTHING = "Nothing to be done"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recognised")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    shutil.rmtree(ablations / "sweeps")
    (ablations / "sweeps").mkdir()
    for name in ("one", "other"):
        (ablations / f"sweeps/{name}.yaml").write_text(yaml.safe_dump(TINY_SWEEP))
    # The fresh seeds of the sweeps rest on the same baseline.
    plan, layout = load_plan("smoke", ablations), Layout(folder / "results", "smoke")
    make_products(all_products(plan, layout))
    for name in ("one", "other"):
        make_products(SweepProducts(plan, layout, load_sweep(ablations, name)))
    return folder


@pytest.fixture
def place(made, tmp_path) -> Path:
    """A folder with results and ablations, to be edited."""
    return Path(shutil.copytree(made, tmp_path / "place"))


def dry_run(target: str, place: Path, fails: bool = False, scale: str = "smoke") -> str:
    return snakemake(target, "-n", place=place, fails=fails, scale=scale)


@pytest.mark.parametrize("latest", [1.5e9, 3e9], ids=["past", "future"])
@pytest.mark.parametrize("target", ["tables", "sweep"])
def test_moved_results_are_recognised_whatever_their_times(place, target, latest):
    without_times(place / "results", 1, latest)
    said = dry_run(target, place)
    assert NOTHING in said
    for count in re.findall(r"recognised (\d+) results of", said):
        assert int(count) > 4
    assert "recognised" not in dry_run(target, place)


@pytest.mark.parametrize(
    "execution", [{"job": "stage"}, {"variants_per_job": 3}, {"seeds_per_job": 1}], ids=str
)
def test_moved_results_are_recognised_however_the_work_is_divided(place, execution):
    edit_yaml(place / "ablations/scales/smoke.yaml", lambda d: d["execution"].update(execution))
    without_times(place / "results", 2)
    assert NOTHING in dry_run("tables", place)


def test_run_that_is_there_is_finished_anew_by_its_job(place):
    """The others may rest on what is newer: else the job would run again at every call."""
    plan = load_plan("smoke", place / "ablations")
    layout, run = Layout(place / "results", "smoke"), plan.run("unconditional", "dmp", 0)
    made = run_products(layout, run)["metrics"]
    before = read_record(made.record).finished
    complete_run(SimpleNamespace(layout=layout), run)
    assert read_record(made.record).finished > before
    assert made.is_current()


@pytest.mark.parametrize("moved", [False, True], ids=["in place", "moved"])
@pytest.mark.parametrize(
    ("change", "rerun"),
    [
        ({"trials": 6}, {"sweep_worker": 2, "sweep_confirm": 2, "sweep_report": 1}),
        ({"workers": 3}, {"sweep_worker": 3, "sweep_confirm": 2, "sweep_report": 1}),
        ({"title": "Another heading", "notes": ["Another text."]}, {"sweep_report": 1}),
    ],
    ids=["trials", "workers", "words"],
)
def test_edited_sweep_reruns_alone(place, change, rerun, moved):
    edit_yaml(place / "ablations/sweeps/one.yaml", lambda data: data.update(change))
    if moved:
        without_times(place / "results", 3, latest=3e9)
    said = dry_run("sweep", place)
    assert planned(said) == {**rerun, "sweep": 1}
    assert "sweeps/other" not in said.split("Job stats:")[1].split("Reasons:")[0]


def test_edited_extractor_reruns_sweeps_and_tables_from_times_in_the_future(place):
    edit_yaml(
        place / "ablations/scales/smoke.yaml",
        lambda d: d["defaults"]["evaluation"]["extractor"].update(epochs=2),
    )
    without_times(place / "results", 4, latest=3e9)
    found = planned(dry_run("sweep", place))
    assert found["extractor"] == found["reference"] == 1
    assert found["sweep_report"] == 2
    assert "pretrain" not in found


@pytest.mark.parametrize("target", ["tables", "sweep"])
def test_looking_at_results_changes_no_file_of_theirs(place, target):
    """They may be another user's, or in use by another snakemake."""
    edit_yaml(
        place / "ablations/scales/smoke.yaml",
        lambda d: d["defaults"]["evaluation"].update(kid_subsets=5),
    )

    def state() -> dict[Path, tuple[int, bytes]]:
        files = (p for p in (place / "results").rglob("*") if p.is_file())
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}

    dry_run(target, place)  # from here on every file has the time of its record
    before = state()
    assert planned(dry_run(target, place))
    assert state() == before
    assert list((place / ".snakemake/outdated").iterdir()) == []


@pytest.mark.parametrize("job", ["bundle", "stage"])
def test_damaged_record_is_one_clear_error_and_nothing_runs(place, job):
    edit_yaml(place / "ablations/scales/smoke.yaml", lambda d: d["execution"].update(job=job))
    layout = Layout(place / "results", "smoke")
    record = layout.record("baseline", layout.pretrained("unconditional", 0))
    record.write_bytes(record.read_bytes()[:30])
    said = dry_run("tables", place, fails=True)
    assert f"error: {record} is truncated or corrupt" in said
    # Snakemake says in which rule; of our own code there is no traceback.
    assert '.py", line' not in said
    assert layout.pretrained_weights("unconditional", 0).exists()


def test_damaged_record_of_one_scale_leaves_the_others_alone(place):
    for path in (place / "results").rglob(".fingerprints/**/*.json"):
        path.write_text("")
    assert planned(dry_run("tables", place, scale="digits"))["pretrain"]


def test_outdated_result_is_made_again_once_in_folders_whose_names_hold_spaces(place):
    """As those of disks do that results are moved to."""
    moved = place.rename(place.with_name("my own disk"))
    made = moved / "results/smoke/parameters.csv"
    made.write_text("cut short")
    os.utime(made, (3e9, 3e9))
    snakemake(str(made), place=moved)
    assert NOTHING in snakemake(str(made), place=moved)
    assert made.read_text().count("\n") > 1
    assert [path.name for path in (moved / "results/smoke/logs").iterdir()] == ["parameters.log"]
