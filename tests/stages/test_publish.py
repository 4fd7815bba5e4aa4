"""Results that are published, added to, and made again from their numbers; the runs are made up."""

import dataclasses
import filecmp
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from fake_numbers import edit_table, make_runs, make_tables
from harness import ROOT, edit_yaml, make_tiny, run_command

from dmp.errors import DMPError
from dmp.files import read_json, write_text
from dmp.layout import Layout
from dmp.products.results import verdicts_product
from dmp.products.sweeps import SweepProducts
from dmp.reporting.figures.style import write_figure
from dmp.stages import claims
from dmp.stages import publish as module
from dmp.stages.collect import collect
from dmp.stages.numbers import Numbers, read_numbers, write_numbers
from dmp.stages.pages import write_pages
from dmp.stages.publish import check_width, publish
from dmp.stages.rebuild import rebuild, rebuild_reference
from dmp.stages.reference import Reference
from dmp.studies import load_plan
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import load_sweep

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def folder(ablations):
    """A copy of ablations/ with one study, of a scale that allows conclusions."""

    def own_baselines(data: dict) -> None:
        del data["conclusive"], data["baseline_seeds"]

    edit_yaml(make_tiny(ablations) / "scales/smoke.yaml", own_baselines)
    # Figures take most of the time.
    edit_yaml(ablations / "studies/table2.yaml", lambda data: data.update(figures=[]))
    return ablations


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "results", "smoke")


def published(folder, layout, seeds=3, first=0, **options):
    """Make runs, publish them, and return the plan."""
    plan = load_plan("smoke", folder, seeds)
    plan = dataclasses.replace(plan, scale=plan.scale.model_copy(update={"first_seed": first}))
    make_runs(plan, layout)
    make_tables(plan, layout)
    publish(plan, layout, **options)
    return plan


def files(layout):
    folder = layout.published
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("[!.]*") if p.is_file()
    }


def test_published_numbers_are_those_of_every_run_digit_by_digit(folder, layout):
    plan = published(folder, layout)
    found = read_numbers(layout.published / "numbers").results
    for task, variant, seed in plan.runs():
        own = pd.read_csv(layout.metrics(task, variant, seed), dtype=str)
        rows = found[(found["variant"] == variant) & (found["seed"] == seed)].astype(str)
        assert sorted(rows[list(own)].to_numpy().tolist()) == sorted(own.to_numpy().tolist())
        assert set(rows["config"]) == {plan.run(task, variant, seed).hash}
        assert (set(rows["commit"]), set(rows["baseline_seed"])) == ({"abc"}, {str(seed)})


def test_published_pages_are_those_of_the_workflow(folder, layout, monkeypatch):
    """What is made from published numbers has the bytes of what is made from the runs."""
    monkeypatch.setattr(claims, "write_figure", write_figure)
    drawn = [{"kind": "denoising"}]
    edit_yaml(folder / "studies/table2.yaml", lambda data: data.update(figures=drawn))
    plan = published(folder, layout)
    for scope in ("table2", "claims"):
        collect(plan, layout, scope)
    rebuild(plan, layout)
    names = [name for name in files(layout) if not name.startswith(("numbers", "provenance"))]
    kinds = ("tables/table1.csv", "tables/table2.md", "claims.md", "claims.csv")
    assert set(kinds) <= set(names)
    assert "figures/table2/table2-denoising-unconditional.png" in names
    for name in names:
        assert filecmp.cmp(layout.published / name, layout.root / name, shallow=False), name


def test_pages_follow_from_published_numbers_without_runs_and_without_torch(folder, layout):
    published(folder, layout)
    shutil.rmtree(layout.root)
    before = files(layout)
    for name in before:
        if not name.startswith(("numbers", "provenance")):
            (layout.published / name).unlink()
    command = ("rebuild", "--from-reference", "--scale", "smoke", "--results", str(layout.results))
    script = f"""
import sys
class NoTorch:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "torch":
            raise ImportError("there is no torch")
sys.meta_path.insert(0, NoTorch())
from dmp.cli import main
sys.argv = ["dmp", *{command!r}, "--ablations", {str(folder)!r}]
sys.exit(main())
"""
    scale = folder / "scales/smoke.yaml"
    edit_yaml(scale, lambda data: data.update(baseline_seeds=1))
    done = run_command("python", "-c", script)
    assert done.returncode == 2, done.stdout  # seeds rest on other baselines than those published
    assert "is of configuration" in done.stderr
    edit_yaml(scale, lambda data: data.pop("baseline_seeds"))
    done = run_command("python", "-c", script)
    assert done.returncode == 0, done.stderr
    made = files(layout)
    assert made.keys() >= before.keys()
    assert {name: made[name] for name in before} == before
    assert set(made) - set(before) == {
        f"figures/claims/claims-{kind}.png" for kind in ("forest", "evidence", "paper")
    }


def test_a_published_digit_that_was_changed_is_damage_and_no_other_result(folder, layout):
    plan = published(folder, layout)
    reference = layout.published
    before = files(layout)
    for name in ("numbers/runs.csv", "numbers/parameters.csv", "provenance.json"):
        whole = (reference / name).read_text()
        place = whole.rindex("1")
        (reference / name).write_text(f"{whole[:place]}2{whole[place + 1 :]}")
        with pytest.raises(DMPError, match=f"{name} is truncated .* git checkout -- {reference}"):
            rebuild_reference(plan, Reference(reference))
        (reference / name).write_text(whole)
    assert files(layout) == before
    # One of an earlier version has no seals, and is given none: its files stay as they are.
    for seal in reference.rglob(".*.sha256"):
        seal.unlink()
    rebuild_reference(plan, Reference(reference))
    assert files(layout) == before
    assert not list(reference.rglob(".*"))


def test_later_seeds_are_added_and_everything_follows_from_all_of_them(folder, layout, tmp_path):
    published(folder, layout)
    first = files(layout)
    shutil.rmtree(layout.root)
    published(folder, layout, seeds=2, first=3)
    record = read_json(layout.published / "provenance.json")
    assert record["seeds"] == {name: {"first": 0, "last": 4} for name in ("claims", "table2")}
    assert record["origin"]["runs"] == 5 * len(load_plan("smoke", folder).variants())
    table = pd.read_csv(layout.published / "tables/table2.csv")
    assert set(table["units"]) == {5}
    # The same at once gives the same bytes.
    other = Layout(tmp_path / "other", "smoke")
    published(folder, other, seeds=5)
    assert files(other) == files(layout) != first


def test_publishing_twice_changes_nothing(folder, layout):
    published(folder, layout)
    before = files(layout)
    published(folder, layout)
    assert files(layout) == before


def test_studies_may_have_different_numbers_of_seeds_which_are_told(folder, layout):
    """Arms that two studies share have the seeds of either; each table has those of its study."""
    published(folder, layout, seeds=2)
    shutil.copy(folder / "studies/table2.yaml", folder / "studies/extra.yaml")
    edit_yaml(folder / "studies/extra.yaml", lambda data: data.update(target="studies", figures=[]))
    published(folder, layout, seeds=4, scopes=["extra"])
    record = read_json(layout.published / "provenance.json")
    assert record["seeds"]["extra"] == {"first": 0, "last": 3}
    assert record["seeds"]["table2"] == {"first": 0, "last": 1}
    for name, units in (("extra", 4), ("table2", 2)):
        table = pd.read_csv(layout.published / f"tables/{name}.csv")
        assert set(table["units"]) == {units}
    published(folder, layout, seeds=3, scopes=["tables"])
    # Of the claims' own arms there are three seeds, and of those that the other study shares four.
    plan, runs = load_plan("smoke", folder), read_numbers(layout.published / "numbers").runs()
    both = set(plan.variants("extra"))
    assert len(runs) == 4 * len(both) + 3 * len(set(plan.variants()) - both)


def test_a_single_claim_may_rest_on_more_baselines_than_its_page(folder, layout):
    def twin(data):
        data["claims"].append({**data["claims"][0], "id": "C03"})
        assert data["claims"][0]["id"] == "C02"

    edit_yaml(folder / "claims.yaml", twin)
    published(folder, layout, seeds=2)
    shutil.rmtree(layout.root)
    plan = published(folder, layout, seeds=3, first=2, scopes=["C02"])
    reference = Reference(layout.published)
    told = {name: str(seeds) for name, seeds in reference.seeds.items()}
    assert told == {"C02": "0 to 4", "claims": "0 to 1", "table2": "0 to 1"}
    table = pd.read_csv(layout.published / "claims.csv")
    # What shares arms with it has its own seeds, and stays tested.
    for claim, units in (("C02", 5), ("C03", 2)):
        assert set(table["n"][table["claim"] == claim].dropna()) == {units}
    assert set(pd.read_csv(layout.published / "tables/table2.csv")["units"]) == {2}
    extra = set(reference.numbers.runs()) - set(reference.of(plan, "table2").runs())
    assert {run for run in extra if run[2] > 1} == set(plan.runs("C02"))
    before = files(layout)
    rebuild_reference(plan, reference)
    assert files(layout) == before
    with pytest.raises(DMPError, match="study C02: seeds 0 to 4 are published, and 9 would leave"):
        published(folder, layout, seeds=1, first=9, scopes=["C02"])


def test_baselines_are_added_to_a_reference_that_has_none(folder, layout):
    """Where decay says how far baselines have converged, there is no table of them."""
    plan = published(folder, layout)
    whole = Reference(layout.published).numbers
    assert len(whole.baselines)
    (folder / "none").mkdir()
    write_numbers(Numbers(whole.results, whole.baselines[:0]), folder / "none")
    old = SimpleNamespace(numbers=read_numbers(folder / "none"), folder=layout.published)
    assert len(old.numbers.baselines) == 0
    merged = module._merge(plan, old, whole)
    pd.testing.assert_frame_equal(merged.baselines, whole.baselines)


def test_a_run_that_is_published_with_other_bits_is_named(folder, layout):
    plan = published(folder, layout)
    before = files(layout)
    path = layout.metrics("unconditional", "dmp", 1)
    edit_table(path, lambda table: table.replace({table["value"][0]: "0.25"}))
    with pytest.raises(DMPError, match=r"not those of the same runs here, first unconditional/dmp/"
                       r"seed1: fid at iteration 10 \(differs\). Start anew"):  # fmt: skip
        publish(plan, layout)
    assert files(layout) == before
    publish(plan, layout, replace=True)
    assert b"0.25" in files(layout)["numbers/runs.csv"]


def test_numbers_of_another_configuration_are_never_mixed(folder, layout):
    published(folder, layout)
    before = files(layout)
    shutil.rmtree(layout.root)
    edit_yaml(
        folder / "scales/smoke.yaml",
        lambda data: data["defaults"]["training"].update(learning_rate=0.5),
    )
    with pytest.raises(DMPError, match=r"never mixed: in .*, unconditional/.* is of configuration"):
        published(folder, layout, seeds=1, first=3)
    assert files(layout) == before
    published(folder, layout, seeds=1, first=3, replace=True)
    assert read_json(layout.published / "provenance.json")["origin"]["runs"] == len(
        load_plan("smoke", folder).variants()
    )


def test_a_gap_between_seeds_is_refused(folder, layout):
    published(folder, layout, seeds=2)
    with pytest.raises(DMPError, match=r"seeds 0 to 1 are published, and 3 to 4 would leave a gap"):
        published(folder, layout, seeds=2, first=3)


def test_what_is_missing_is_named_and_the_reference_stays(folder, layout):
    plan = published(folder, layout)
    before = files(layout)
    layout.speed_table.unlink()
    with pytest.raises(DMPError, match=r"speed.csv does not exist"):
        publish(plan, layout)
    shutil.rmtree(layout.run("unconditional", "dmp", 1))
    with pytest.raises(DMPError, match="unconditional/dmp/seed1 is missing"):
        publish(plan, layout)
    with pytest.raises(DMPError, match="unknown study 'tabel2'"):
        publish(plan, layout, ["tabel2"])
    assert files(layout) == before
    assert [path.name for path in layout.published.parent.iterdir()] == ["smoke"]


def test_a_reference_that_lacks_a_run_is_not_cut_to_fewer_seeds(folder, layout):
    plan = published(folder, layout)
    path = layout.published / "numbers/runs.csv"
    edit_table(path, lambda table: table[(table["variant"] != "dmp") | (table["seed"] != "1")])
    with pytest.raises(DMPError, match=r"lacks 1 runs of its studies, first unconditional/dmp/see"):
        rebuild_reference(plan, Reference(layout.published))


def test_pictures_of_samples_are_copied_and_named(folder, layout):
    edit_yaml(
        folder / "studies/table2.yaml", lambda data: data["figures"].append({"kind": "samples"})
    )
    plan = load_plan("smoke", folder, 1)
    make_runs(plan, layout)
    make_tables(plan, layout)
    name = "figures/table2/table2-samples-unconditional.png"
    write_text(layout.root / name, "picture")
    told = publish(plan, layout)
    assert files(layout)[name] == b"picture"
    assert "left as they are, since they draw files of runs: table2-samples" in told
    (layout.root / name).unlink()
    publish(plan, layout)
    assert files(layout)[name] == b"picture"


def test_finished_sweeps_are_published_and_stay_when_others_are_added(folder, layout):
    plan = published(folder, layout, ablations=folder)
    own, options = SweepFiles(layout, "smoke"), {"ablations": folder}
    with pytest.raises(DMPError, match=r"no finished sweep; run make sweep"):
        publish(plan, layout, ["sweeps"], **options)
    write_text(own.confirmed, "variant\ndmp\n")
    with pytest.raises(DMPError, match=r"sweep 'smoke' is not finished as it is configured now"):
        publish(plan, layout, ["sweeps/smoke"], **options)
    for path in (own.trials, own.confirmation(0), own.root / "smoke.md", own.best):
        write_text(path, "a,b\n")
    write_text(own.figures / "pareto.png", "picture")
    SweepProducts(plan, layout, load_sweep(folder, "smoke")).page().mark_finished()

    before = files(layout)
    assert publish(plan, layout, ["sweeps/smoke"], **options).endswith("sweeps: smoke")
    names = {"trials.csv", "confirmed.csv", "confirmation/0.csv", "smoke.md", "best.yaml"}
    kept = {f"sweeps/smoke/{name}" for name in (*names, "figures/pareto.png")}
    after = files(layout)
    assert set(after) - set(before) == kept
    assert before.items() <= after.items()

    shutil.rmtree(own.root)
    publish(plan, layout, ["table2"], **options)
    assert files(layout) == after
    with pytest.raises(DMPError, match=r"publish them with a study"):
        write_text(own.confirmed, "variant\ndmp\n")
        publish(plan, layout, ["sweeps"], replace=True, **options)


def test_seeds_on_one_baseline_under_several_names_are_refused(folder, layout, monkeypatch):
    """An interval over baselines has a width, unless they are one."""
    monkeypatch.setattr("fake_numbers.normal", lambda *key: 0.5)
    with pytest.raises(DMPError, match=r"table2.csv: fid of unconditional/\S+ is the same number "
                       r"for 3 baselines"):  # fmt: skip
        published(folder, layout)
    assert not layout.published.exists()


@pytest.mark.parametrize(
    "changes", [{"unit": "seed"}, {"units": 1, "sd": ""}, {"metric": "gate_entropy"}, {"sd": 1e-9}]
)
def test_only_intervals_over_baselines_must_have_a_width(tmp_path, changes):
    row = {"task": "t", "variant": "v", "metric": "fid", "unit": "baseline", "units": 3, "sd": 0.0}
    path = tmp_path / "table.csv"
    pd.DataFrame([row | changes]).to_csv(path, index=False)
    check_width(path)
    pd.DataFrame([row]).to_csv(path, index=False)
    with pytest.raises(DMPError, match="has no width"):
        check_width(path)


@pytest.mark.parametrize("scale", ["digits", "smoke"])
def test_no_interval_of_the_committed_references_lacks_a_width(scale):
    paths = sorted((ROOT / "results/reference" / scale / "tables").glob("*.csv"))
    assert paths
    for path in paths:
        check_width(path)


def test_a_write_that_fails_leaves_the_reference(folder, layout, monkeypatch):
    plan = published(folder, layout)
    before = files(layout)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_swap", full)
    with pytest.raises(DMPError, match="no space is left"):
        publish(plan, layout)
    assert files(layout) == before


def test_after_tables_alone_the_other_studies_are_told_and_are_no_failure(folder, layout):
    shutil.copy(folder / "studies/table2.yaml", folder / "studies/extra.yaml")
    plan = load_plan("smoke", folder, 2)
    with pytest.raises(DMPError, match="no numbers of any study; run make tables"):
        rebuild(plan, layout)
    make_runs(plan, layout)
    make_tables(plan, layout)
    collect(plan, layout, "table2")
    told = rebuild(plan, layout)
    assert told.splitlines()[1].endswith("have not been gathered: claims, extra")
    assert (layout.tables / "table2.md").is_file()
    before = (layout.tables / "table2.md").read_bytes()
    write_pages(plan, layout, ["table2"])
    assert (layout.tables / "table2.md").read_bytes() == before


def judged(folder, layout, seeds):
    """Return the table of evidence of a run of so many seeds, made anew."""
    shutil.rmtree(layout.root, ignore_errors=True)
    plan = load_plan("smoke", folder, seeds)
    make_runs(plan, layout)
    make_tables(plan, layout)
    collect(plan, layout, "claims")
    claims.judge(plan, layout, "claims")
    assert verdicts_product(plan, layout, "claims").is_current()
    return pd.read_csv(layout.verdicts("claims").with_suffix(".csv"))


def test_a_run_of_few_seeds_knows_the_spread_of_those_that_are_published(folder, layout, tmp_path):
    published(folder, layout, seeds=6)
    alone = judged(folder, Layout(tmp_path / "without", "smoke"), 2)
    found = judged(folder, layout, 2)
    compared = found["sd"] > 0
    assert set(found["further"][compared]) == {4}
    assert set(alone["further"].dropna()) == {0}
    # The mean is of the run's own baselines; the interval is another.
    for name in ("effect", "n", "hodges_lehmann", "p_sign_flip"):
        pd.testing.assert_series_equal(found[name], alone[name])
    assert (found["low"] != alone["low"])[compared].all()
    page = layout.verdicts("claims").with_suffix(".md").read_text()
    assert "known from up to 4 more of the committed reference" in page
    assert "2 baselines, spread of 6" in page
    # All that is published is here: nothing is counted twice.
    assert set(judged(folder, layout, 6)["further"].dropna()) == {0}


def test_the_spread_of_other_settings_is_not_that_of_these(folder, layout):
    published(folder, layout, seeds=4)
    scale = folder / "scales/smoke.yaml"
    edit_yaml(scale, lambda data: data["defaults"]["training"].update(iterations=3))
    assert set(judged(folder, layout, 2)["further"].dropna()) == {0}


def test_verdicts_follow_the_reference_when_more_is_published(folder, layout, tmp_path):
    published(folder, layout, seeds=3)
    found = judged(folder, layout, 2)
    assert set(found["further"].dropna()) == {0}  # one more baseline has no spread
    elsewhere = Layout(tmp_path / "elsewhere", "smoke")
    published(folder, elsewhere, seeds=5)
    shutil.rmtree(layout.published)
    shutil.copytree(elsewhere.published, layout.published)
    plan = load_plan("smoke", folder, 2)
    assert not verdicts_product(plan, layout, "claims").is_current()
    table = layout.published_numbers
    table.write_text(table.read_text().replace("1", "2", 1))
    with pytest.raises(DMPError, match="the reference is damaged"):
        claims.judge(plan, layout, "claims")
