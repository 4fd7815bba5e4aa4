"""A new run compared with published results; the numbers here are made up."""

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from fake_numbers import edit_table, make_runs, make_tables
from harness import ROOT, edit_yaml, make_tiny, run_command

from dmp.errors import DMPError
from dmp.files import read_json, write_json, write_text
from dmp.layout import Layout
from dmp.seals import beside
from dmp.stages.collect import collect
from dmp.stages.publish import publish
from dmp.stages.rebuild import rebuild
from dmp.stages.verify import verify_scale
from dmp.studies import load_plan

pytestmark = pytest.mark.usefixtures("in_this_process")


def change(path, **values):
    write_json(path, read_json(path) | values)


def records(plan, layout):
    """The paths of what says how runs and baselines were made."""
    folders = [layout.run(*run) for run in plan.runs()]
    folders += [layout.pretrained(*baseline) for baseline in plan.baselines()]
    return [folder / "provenance.json" for folder in folders]


def make_results(plan, layout, **options):
    """Write runs, baselines, tables and verdicts of a scale as the workflow would."""
    make_runs(plan, layout, **options)
    make_tables(plan, layout)
    for scope in (*plan.studies, "claims"):
        collect(plan, layout, scope)
    rebuild(plan, layout)


def checked(data):
    del data["baseline_seeds"]
    for place in (data["defaults"], *data["tasks"].values()):
        place.get("pretraining", {}).pop("decay", None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, in_this_process):
    """A place with ablations/ of one study, and two seeds, each on its own baseline, published."""
    place = tmp_path_factory.mktemp("prepared")
    ablations = make_tiny(shutil.copytree(ROOT / "ablations", place / "ablations"))
    # Baselines that are checked for convergence, whose numbers are compared as well.
    edit_yaml(ablations / "scales/smoke.yaml", checked)
    edit_yaml(ablations / "studies/table2.yaml", lambda data: data.update(figures=[]))
    plan, layout = load_plan("smoke", ablations, 2), Layout(place / "results", "smoke")
    make_results(plan, layout)
    publish(plan, layout)
    return place


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of those ablations."""
    return shutil.copytree(prepared / "ablations", tmp_path / "ablations")


@pytest.fixture
def made(prepared, folder, tmp_path):
    """Their plan, and a copy of those results."""
    shutil.copytree(prepared / "results", tmp_path / "results")
    return load_plan("smoke", folder, 2), Layout(tmp_path / "results", "smoke")


def reference(layout):
    return layout.results / "reference/smoke"


def make_native(plan, layout):
    for path in records(plan, layout):
        change(path, numerics="native")


@pytest.fixture(params=["portable", "native"])
def numerics(request, made):
    """Those of the results here: both comparisons have to notice."""
    if request.param == "native":
        make_native(*made)
    return request.param


def cut(path):
    write_text(path, "".join(path.read_text().splitlines(keepends=True)[:2]))


def command(folder, layout, seeds=2):
    return run_command(
        *("dmp", "verify", "--scale", "smoke", "--results", str(layout.results)),
        *("--ablations", str(folder), "--seeds", str(seeds)),
    )


def raised(table, by=1.0):
    return table.assign(value=[repr(float(value) * (1 + by)) for value in table["value"]])


def test_the_same_numbers_are_identical_whatever_the_order_of_their_rows(made, folder):
    plan, layout = made
    for run in plan.runs():
        edit_table(layout.metrics(*run), lambda table: table[::-1])
    edit_table(layout.tables / "table2.csv", lambda table: table[::-1])
    edit_table(reference(layout) / "numbers/runs.csv", lambda table: table[::-1])
    done = command(folder, layout)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == ("bits: both runs are portable, on x86-64; every number must be identical")
    count = sum(len(pd.read_csv(layout.metrics(*run))) for run in plan.runs())
    count += 5 * len(plan.baselines())
    assert told[1].startswith(f"numbers: {count} of {count} of 2 baselines and 4 runs are")
    rows = sum(len(pd.read_csv(layout.tables / f"table2{k}.csv")) for k in ("", "-comparisons"))
    assert f"tables: {rows} of {rows} rows are identical" in told
    assert told[-1] == "this run is identical to the reference"


def test_the_last_digit_of_one_number_is_found_and_named(made):
    plan, layout = made
    path = layout.metrics("unconditional", "dmp", 1)
    table = pd.read_csv(path, dtype=str)
    rows = table[(table["metric"] == "denoising_mse") & (table["bin"] == "0-99")]
    value = float(rows["value"].iloc[0])
    other = float(np.nextafter(value, 9))
    edit_table(path, lambda table: table.replace({repr(value): repr(other)}))
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "differing: 1 of 1 run, by up to " in told
    assert (
        f"first to differ: unconditional/dmp/seed1: denoising_mse at iteration 10, timesteps 0-99 "
        f"= {other!r} here, {value!r} in the reference"
    ) in told
    assert told.splitlines()[-1] == "this run DIFFERS from the reference"
    rows = pd.read_csv(layout.root / "verify-numbers.csv")
    assert rows[rows["verdict"] != "identical"]["variant"].tolist() == ["dmp"]


def test_the_first_that_differs_is_named_in_the_order_of_the_workflow(made):
    plan, layout = made

    def first():
        told, agree = verify_scale(plan, layout)
        assert not agree
        line = next(line for line in told.splitlines() if line.startswith("first to differ"))
        return line.split(": ")[1]

    for variant in ("dmp", "baseline"):
        edit_table(layout.metrics("unconditional", variant, 0), raised)
        assert first() == f"unconditional/{variant}/seed0"
    change(layout.convergence("unconditional", 0), fids=[3.0, 2.75])
    assert first() == "baseline unconditional/seed0"


def test_a_number_by_another_protocol_is_no_reproduction(made):
    plan, layout = made
    edit_table(
        layout.metrics("unconditional", "dmp", 0), lambda table: table.assign(protocol="another")
    )
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "measured by another protocol" in told
    count = len(pd.read_csv(layout.metrics("unconditional", "dmp", 0)))
    assert f"{count} of the differing numbers" in told


@pytest.mark.usefixtures("numerics")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table1", "table1: counts of parameters differ"),
        ("table2", "13 rows of tables, first table2: unconditional/baseline: denoising_mse"),
        (
            "table2-comparisons",
            "rows of tables, first table2: unconditional/dmp − baseline: denoising_mse",
        ),
    ],
)
def test_a_table_that_was_cut_fails(made, name, message):
    plan, layout = made
    assert verify_scale(plan, layout)[1]
    cut(layout.tables / f"{name}.csv")
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert message in told


def test_verdicts_that_were_cut_are_refused(made):
    plan, layout = made
    cut(layout.verdicts("claims").with_suffix(".csv"))
    with pytest.raises(DMPError, match=r"claims\.csv lacks some of what is judged"):
        verify_scale(plan, layout)


def test_an_absent_run_fails(made, numerics):
    plan, layout = made
    shutil.rmtree(layout.run("unconditional", "dmp", 1))
    told, agree = verify_scale(plan, layout)
    assert not agree
    line = next(line for line in told.splitlines() if line.startswith("absent here"))
    assert ("1 runs" if numerics == "native" else "numbers of 1 run") in line
    assert "first unconditional/dmp/seed1" in line
    assert "likely cause" not in told


def test_absent_numbers_fail_on_either_side(made):
    plan, layout = made
    path = layout.metrics("unconditional", "dmp", 0)
    edit_table(path, lambda table: table[table["metric"] != "kid"])
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "absent here: 1 numbers of 1 run, first unconditional/dmp/seed0: kid" in told
    make_runs(plan, layout, [("unconditional", "dmp", 0)])
    path = reference(layout) / "numbers/runs.csv"
    edit_table(path, lambda table: table[table["metric"] != "precision"])
    with pytest.raises(DMPError, match=r"damaged: .*no precision"):
        verify_scale(plan, layout)


def test_studies_that_were_not_run_are_named_and_are_no_failure(made):
    plan, layout = made
    for path in layout.tables.glob("table1.*"):
        path.unlink()
    layout.record("page/table1").unlink()
    told, agree = verify_scale(plan, layout)
    assert agree
    assert "not run here: table1" in told
    assert told.endswith("is identical to the reference (in the 1 of 2 studies that were run here)")
    # A study whose numbers were gathered was run: its table must be there.
    (layout.tables / "table2.csv").unlink()
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "absent here: 14 rows of tables" in told


def test_a_study_that_only_one_side_has_is_named(made):
    plan, layout = made
    (reference(layout) / "tables/table1.csv").unlink()
    told, agree = verify_scale(plan, layout)
    assert agree
    assert "not in the reference, and not compared: table1" in told


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_seeds_that_both_have_are_compared_and_their_tables_too(made, folder, seeds):
    """The reference's tables are of two seeds; their rows for fewer follow from its numbers."""
    _, layout = made
    other = load_plan("smoke", folder, seeds)
    shutil.rmtree(layout.root)
    make_results(other, layout)
    told, agree = verify_scale(other, layout)
    assert agree
    ours, both = ("0 to 2", "0 to 1") if seeds == 3 else ("0", "0")
    assert (
        f"seeds: {ours} here, 0 to 1 in the reference of table2, claims; bits are compared for "
        f"{both}"
    ) in told.replace("claims, table2", "table2, claims")
    line = next(line for line in told.splitlines() if line.startswith("tables: "))
    assert line.split()[1] == line.split()[3] != "0"
    edit_table(layout.metrics("unconditional", "dmp", 0), raised)
    assert not verify_scale(other, layout)[1]


def test_further_baselines_of_a_single_claim_are_compared_too(made, folder):
    _, layout = made
    other = load_plan("smoke", folder, 4)
    make_results(other, layout)
    publish(other, layout, ["C02"])
    run = ("unconditional", "dmp", 3)
    assert run in other.runs("C02")
    edit_table(layout.metrics(*run), raised)
    # As long as nobody has asked for its numbers here, they are not compared.
    assert verify_scale(other, layout)[1]
    collect(other, layout, "C02")
    told, agree = verify_scale(other, layout)
    assert not agree
    assert "unconditional/dmp/seed3" in told


def test_seeds_that_only_one_side_has_are_told(made, folder):
    _, layout = made
    edit_yaml(folder / "scales/smoke.yaml", lambda data: data.update(first_seed=2))
    later = load_plan("smoke", folder, 2)
    shutil.rmtree(layout.root)
    make_results(later, layout)
    with pytest.raises(DMPError, match="no seed is both here and in the reference: seeds: 2 to 3"):
        verify_scale(later, layout)


@pytest.mark.parametrize(
    ("where", "changes", "told"),
    [
        ("here", {"numerics": "native"}, "this run is native"),
        ("here", {"architecture": "aarch64"}, "this run was made on aarch64"),
        ("reference", {"numerics": ["native"]}, "the reference is native"),
        ("reference", {"architecture": ["arm64"]}, "the reference was made on arm64"),
    ],
)
def test_the_first_line_says_which_comparison_is_made_and_why(made, where, changes, told):
    plan, layout = made
    paths = records(plan, layout)
    if where == "reference":
        path = reference(layout) / "provenance.json"
        change(path, origin=read_json(path)["origin"] | changes)
    else:
        for path in paths:
            change(path, **changes)
    text, agree = verify_scale(plan, layout)
    assert agree
    first = text.splitlines()[0]
    assert first == f"statistics: {told}; identical bits are not expected"
    assert "means: 16 identical, 0 within" in text
    assert text.endswith("this run agrees with the reference")


def test_runs_on_a_baseline_of_other_numerics_need_not_have_the_bits(made):
    plan, layout = made
    for baseline in plan.baselines():
        change(layout.pretrained(*baseline) / "provenance.json", numerics="native")
    first = verify_scale(plan, layout)[0].splitlines()[0]
    assert first.startswith("statistics: this run is in part native;")
    publish(plan, layout)
    first = verify_scale(plan, layout)[0].splitlines()[0]
    assert "the reference is in part native" in first


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"versions": {"numpy": "2.4", "torch": "2.14"}},
            "likely cause: other versions of packages (torch 2.14 here, 2.15 in the reference)",
        ),
        (
            {"commit": "def"},
            "likely cause: other code (commit def here, commit abc in the reference)",
        ),
        ({"dirty": True}, "commit abc with uncommitted changes here"),
        (
            {"libc": "glibc 2.39"},
            "likely cause: another C library (glibc 2.39 here, glibc 2.36 in the reference)",
        ),
        ({}, "portable numerics fail on this processor"),
    ],
)
def test_where_bits_differ_the_likely_cause_is_named(made, changes, told):
    plan, layout = made
    for path in records(plan, layout):
        change(path, **changes)
    assert told not in verify_scale(plan, layout)[0]
    edit_table(layout.metrics("unconditional", "dmp", 0), raised)
    assert told in verify_scale(plan, layout)[0]


def test_other_settings_are_named_where_bits_differ(made, folder):
    _, layout = made
    edit_yaml(
        folder / "scales/smoke.yaml",
        lambda data: data["defaults"]["training"].update(learning_rate=0.5),
    )
    plan = load_plan("smoke", folder, 2)
    make_runs(plan, layout, effect=lambda run, metric: 1.5)
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "other configurations: 2 of 4 runs, first unconditional/dmp/seed0" in told


def test_tables_that_do_not_follow_from_the_numbers_fail(made):
    plan, layout = made
    path = layout.tables / "table2.csv"
    value = pd.read_csv(path, dtype=str)["mean"][0]
    edit_table(path, lambda table: table.replace({value: f"{value}1"}))
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert (
        f"first row to differ: table2: unconditional/baseline: fid = {value}1 here, {value} in"
        in (told)
    )
    assert "`make rebuild` writes them anew" in told


def statistical(folder, layout, draw=1, seeds=3, effect=lambda run, metric: 1.0):
    """Publish eight baselines, make others elsewhere, and compare them."""
    scale = folder / "scales/smoke.yaml"
    edit_yaml(scale, lambda data: data.update(conclusive=True))
    shutil.rmtree(layout.results)
    published = load_plan("smoke", folder, 8)
    make_results(published, layout)
    publish(published, layout)
    shutil.rmtree(layout.root)
    plan = load_plan("smoke", folder, seeds)
    make_results(plan, layout, draw=draw, effect=effect)
    make_native(plan, layout)
    return plan


def test_new_baselines_agree_and_the_verdicts_come_first(made, folder):
    _, layout = made
    plan = statistical(folder, layout)
    told, agree = verify_scale(plan, layout)
    assert agree, told
    first = told.splitlines()[0]
    assert first.startswith("same verdicts: ")
    assert "(seeds 0 to 2 here, 0 to 7 in the reference; " in first
    assert told.splitlines()[1].startswith("statistics: this run is native")
    assert told.endswith("this run agrees with the reference")
    rows = pd.read_csv(layout.root / "verify.csv")
    assert set(rows["n_reference"]) == {8}
    assert set(rows["n_here"]) == {3}


def test_an_arm_that_is_another_is_found_and_ends_with_status_1(made, folder):
    _, layout = made
    statistical(folder, layout, effect=lambda run, _: 3.0 if run.variant == "dmp" else 1.0)
    done = command(folder, layout, 3)
    assert done.returncode == 1
    assert "DIFFERENT: 8 units of the reference (0 to 7) and 3 here (0 to 2)" in done.stdout
    assert "/dmp" in next(line for line in done.stdout.splitlines() if "DIFFERENT" in line)
    assert done.stdout.splitlines()[-1] == "this run DIFFERS from the reference"


def test_what_lacks_is_named(made):
    plan, layout = made
    shutil.move(layout.results / "reference", layout.results / "elsewhere")
    with pytest.raises(DMPError, match="no reference results for scale 'smoke'"):
        verify_scale(plan, layout)
    shutil.move(layout.results / "elsewhere", layout.results / "reference")
    shutil.rmtree(layout.tables)
    shutil.rmtree(layout.root / "numbers")
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "absent here" in told
    shutil.rmtree(layout.root / ".fingerprints")
    with pytest.raises(DMPError, match="run make tables"):
        verify_scale(plan, layout)


ABSENT = [
    *("tables/table1.csv", "tables/table1.md", "tables/table2.csv", "tables/table2.html"),
    *("tables/table2.tex", "tables/table2-comparisons.csv", "numbers/table2.csv"),
    *("numbers/table2-baselines.csv", "claims.md", "claims.csv", "claims.html"),
    "pretrained/unconditional/seed0/convergence.json",
]


@pytest.mark.usefixtures("numerics")
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", ABSENT)
def test_absence_is_no_agreement(made, name, empty):
    plan, layout = made
    path = layout.root / name
    path.unlink()
    if empty and path.suffix != ".json":
        path.write_text("")
    told, agree = verify_scale(plan, layout)
    assert not agree
    lines = [line for line in told.splitlines() if line.startswith("absent here")]
    subject = "table2" if "comparisons" in name else path.name
    assert any(subject in line or "unconditional/seed0" in line for line in lines), told


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("provenance.json", None, "does not exist"),
        ("provenance.json", "{", "is not valid JSON"),
        ("provenance.json", "{}", "missing key"),
        ("provenance.json", "[]", "valid dictionary"),
        ("numbers/runs.csv", None, "does not exist"),
        ("numbers/runs.csv", "task,variant\n", "lacks the columns seed, metric"),
        ("numbers/sources.csv", "task,variant\n", "lacks the columns"),
        ("numbers/runs.csv", "a,b\n1,2,3\n", "row 1 is not as long as its header"),
        ("numbers/baselines.csv", "\x00", "not a CSV table|lacks the columns"),
        ("tables/table1.csv", "a,b\n1,2,3\n", "row 1 is not as long as its header"),
    ],
)
def test_a_damaged_reference_is_named_with_the_way_to_restore_it(made, name, damage, message):
    plan, layout = made
    path = reference(layout) / name
    beside(path).unlink()  # as an earlier version leaves it
    path.unlink() if damage is None else path.write_text(damage)
    with pytest.raises(DMPError, match=message) as caught:
        verify_scale(plan, layout)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(f"Restore it with: git checkout -- {reference(layout)}")


def test_no_damage_of_a_reference_or_of_a_run_is_a_traceback(made):
    """Whatever is damaged: a sentence, or a comparison that was made nevertheless."""
    plan, layout = made
    run = layout.run("unconditional", "dmp", 0)
    paths = [path for path in reference(layout).rglob("*") if path.is_file()]
    paths += [run / "metrics.csv", run / "provenance.json", layout.tables / "table2.csv"]
    paths += [layout.convergence("unconditional", 0)]
    rng, refused = random.Random(0), 0
    for count in range(40):
        path = paths[count % len(paths)]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(damaged))
            piece = rng.choice([b"", b"\xff", b"\x00", b",", b"\n", b'"', b"nan", b"-1e999", b"{}"])
            damaged[at : at + rng.choice([0, 1, 1, 40, 10**6])] = piece
            damaged = damaged or bytearray(b" ")
        path.write_bytes(damaged)
        try:
            verify_scale(plan, layout)
        except DMPError:
            refused += 1
        path.write_bytes(whole)
    assert refused > 5
    assert verify_scale(plan, layout)[1]
    assert json.loads((reference(layout) / "provenance.json").read_text())
