"""Published results, and a new run compared with them; the numbers here are made up, small ones."""

import dataclasses
import json
import random
import shutil
import zlib

import numpy as np
import pandas as pd
import pytest
from harness import make_tiny, run_command

from dmp.errors import DMPError
from dmp.files import read_json, write_json, write_text
from dmp.layout import Layout
from dmp.stages import provenance
from dmp.stages.publish import publish
from dmp.stages.verify import verify_scale
from dmp.studies import load_plan

PORTABLE = {
    "numerics": "portable", "architecture": "x86_64", "machine": "Linux x86_64, cpu",
    "commit": "abc", "dirty": False, "python": "3.11.7",
    "versions": {"numpy": "2.4", "torch": "2.15"}, "libc": "glibc 2.36",
}  # fmt: skip


def make_run(plan, layout, run):
    """Write what a run leaves: 2 metrics of its samples and 2 of ranges of timesteps."""
    rng = np.random.default_rng(zlib.crc32(repr(run).encode()))
    names = [("fid", "all"), ("denoising_mse", "all")]
    names += [("denoising_mse", "0-99"), ("denoising_mse", "100-199")]
    rows = [
        {"metric": metric, "bin": where, "iteration": 10, "value": repr(rng.random()),
         "samples": 128, "protocol": metric[:4], "evaluator": "x"}
        for metric, where in names
    ]  # fmt: skip
    write_text(layout.metrics(*run), pd.DataFrame(rows).to_csv(index=False))
    provenance.write_record(layout.run(*run), plan.run(*run), "cpu", 0.0)
    change(layout.run(*run) / "provenance.json", **PORTABLE)


def change(path, **values):
    write_json(path, read_json(path) | values)


def records(plan, layout):
    """The paths of what says how runs and baselines were made."""
    folders = [layout.run(*run) for run in plan.runs()]
    folders += [layout.pretrained(*baseline) for baseline in plan.baselines()]
    return [folder / "provenance.json" for folder in folders]


def edit(path, function):
    """Apply a function to a table, whose values are text."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    write_text(path, function(table).to_csv(index=False))


def make_results(plan, layout):
    """Write runs, baselines and tables of a scale as the workflow would."""
    for run in plan.runs():
        make_run(plan, layout, run)
    for task, seed in plan.baselines():
        folder = layout.pretrained(task, seed)
        provenance.write_record(folder, plan.pretraining(task, seed), "cpu", 0.0)
        change(folder / "provenance.json", **PORTABLE)
        found = {"converged": True, "fids": [3.0, 2.5], "iterations": [20, 40]}
        found |= {"relative_change": 0.125, "p_value": 0.25}
        write_json(layout.convergence(task, seed), found)
    seeds = plan.scale.seeds
    cells = pd.DataFrame(
        {
            "task": "unconditional",
            "variant": ["baseline", "dmp", "baseline", "dmp"],
            "metric": ["fid", "fid", "denoising_mse", "denoising_mse"],
            # The baseline's own loss does not depend on the seed.
            "mean": [10.0, 9.0, 0.5, 0.4], "sd": [0.5, 0.4, 0.0, 0.1], "units": seeds,
            "status": "ok",
        }
    )  # fmt: skip
    pairs = pd.DataFrame(
        {
            "task": "unconditional", "variant": "dmp", "against": "baseline",
            "metric": ["fid", "denoising_mse"], "mean": [-1.0, -0.1], "sd": [0.1, 0.1],
            "n": seeds, "status": "ok",
        }
    )  # fmt: skip
    for name, table in (("table2", cells), ("table2-comparisons", pairs)):
        write_text(layout.tables / f"{name}.csv", table.to_csv(index=False))
    write_text(layout.tables / "table1.csv", "backbone,added\nDiT-B/2,1\nDiT-L/2,2\n")
    write_text(layout.tables / "table2.md", "page")
    write_text(layout.tables / "table2.html", "left out")
    write_text(layout.figures("table2") / "figure.png", "picture")
    write_text(layout.claims, "verdicts")


@pytest.fixture
def made(ablations, tmp_path, monkeypatch):
    """A scale's plan and results, published."""
    monkeypatch.setattr(provenance, "commit_of_code", lambda: ("abc", False))
    plan = load_plan("smoke", make_tiny(ablations))
    layout = Layout(tmp_path / "results", "smoke")
    make_results(plan, layout)
    publish(plan, layout)
    return plan, layout


def reference(layout):
    return layout.results / "reference/smoke"


def make_native(plan, layout):
    for run in plan.runs():
        change(layout.run(*run) / "provenance.json", numerics="native")


def command(ablations, layout):
    return run_command(
        *("dmp", "verify", "--scale", "smoke", "--results", str(layout.results)),
        *("--ablations", str(ablations)),
    )


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


TABLES = {"tables/table1.csv", "tables/table2.csv", "tables/table2-comparisons.csv"}
NUMBERS = {"numbers/runs.csv", "numbers/baselines.csv", "provenance.json"}


def test_a_scale_without_conclusions_publishes_its_numbers_and_no_pictures(made):
    plan, layout = made
    assert files(reference(layout)) == TABLES | NUMBERS
    record = read_json(reference(layout) / "provenance.json")
    assert (record["commit"], record["seeds"]) == (["abc"], plan.scale.seeds)
    assert (record["numerics"], record["architecture"]) == (["portable"], ["x86_64"])
    conclusive = plan.scale.model_copy(update={"conclusive": True})
    publish(dataclasses.replace(plan, scale=conclusive), layout)
    pages = {"tables/table2.md", "claims.md", "figures/table2/figure.png"}
    assert files(reference(layout)) == TABLES | NUMBERS | pages


def test_published_numbers_are_those_of_every_run_digit_by_digit(made):
    plan, layout = made
    table = pd.read_csv(reference(layout) / "numbers/runs.csv", dtype=str, keep_default_na=False)
    for task, variant, seed in plan.runs():
        own = pd.read_csv(layout.metrics(task, variant, seed), dtype=str)
        for row in own.itertuples():
            at = (table["task"] == task) & (table["variant"] == variant)
            at &= (table["seed"] == str(seed)) & (table["metric"] == row.metric)
            assert table.loc[at, row.bin].tolist() == [row.value]


def test_the_same_numbers_are_identical_whatever_the_order_of_their_rows(made, ablations):
    plan, layout = made
    for run in plan.runs():
        edit(layout.metrics(*run), lambda table: table[::-1])
    edit(layout.tables / "table2.csv", lambda table: table[::-1])
    edit(reference(layout) / "numbers/runs.csv", lambda table: table[::-1])
    done = command(ablations, layout)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == ("bits: both runs are portable, on x86-64; every number must be identical")
    count = 4 * len(plan.runs()) + 5 * len(plan.baselines())
    assert told[1].startswith(f"numbers: {count} of {count} of ")
    assert "tables: 6 of 6 rows are identical" in told
    assert told[-1] == "this run is identical to the reference"


def test_the_last_digit_of_one_number_is_found_and_named(made):
    plan, layout = made
    path = layout.metrics("unconditional", "dmp", 1)
    value = float(pd.read_csv(path, dtype=str)["value"][2])
    other = float(np.nextafter(value, 2))
    edit(path, lambda table: table.replace({repr(value): repr(other)}))
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

    def raised(table):
        return table.assign(value=[repr(float(value) + 1) for value in table["value"]])

    for variant in ("dmp", "baseline"):
        edit(layout.metrics("unconditional", variant, 0), raised)
        assert first() == f"unconditional/{variant}/seed0"
    change(layout.convergence("unconditional", 0), fids=[3.0, 2.75])
    assert first() == "baseline unconditional/seed0"


def test_a_number_by_another_protocol_is_no_reproduction(made):
    plan, layout = made
    edit(layout.metrics("unconditional", "dmp", 0), lambda table: table.assign(protocol="another"))
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "measured by another protocol" in told
    assert "4 of the differing numbers" in told


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", ["table1", "table2", "table2-comparisons"])
def test_a_table_that_was_cut_fails(made, name, native):
    plan, layout = made
    if native:
        make_native(plan, layout)
    assert verify_scale(plan, layout)[1]
    path = layout.tables / f"{name}.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert {
        "table1": "table1: counts of parameters differ",
        "table2": "absent here: 3 rows of tables, first table2: unconditional/dmp: fid",
        "table2-comparisons": "absent here: 1 rows of tables, first table2: unconditional/dmp − "
        "baseline: denoising_mse",
    }[name] in told


@pytest.mark.parametrize("native", [False, True])
def test_an_absent_run_fails(made, native):
    plan, layout = made
    if native:
        make_native(plan, layout)
    shutil.rmtree(layout.run("unconditional", "dmp", 1))
    told, agree = verify_scale(plan, layout)
    assert not agree
    count = "1 runs" if native else "4 numbers of 1 run"
    assert f"absent here: {count}, first unconditional/dmp/seed1" in told
    assert "likely cause" not in told


def test_absent_numbers_fail_on_either_side(made):
    plan, layout = made
    edit(layout.metrics("unconditional", "dmp", 0), lambda table: table[:1])
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "absent here: 3 numbers of 1 run, first unconditional/dmp/seed0: denoising_mse" in told
    make_run(plan, layout, ("unconditional", "dmp", 0))
    path = reference(layout) / "numbers/runs.csv"
    edit(path, lambda table: table[table["variant"] != "dmp"])
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "not in the reference: 8 numbers of 2 runs, first unconditional/dmp/seed0: fid" in told
    shutil.rmtree(layout.pretrained("unconditional", 0))
    assert "absent here: 5 numbers of 1 baseline, first" in verify_scale(plan, layout)[0]


def test_studies_that_were_not_run_are_named_and_are_no_failure(made):
    plan, layout = made
    (layout.tables / "table1.csv").unlink()
    told, agree = verify_scale(plan, layout)
    assert agree
    assert "not run here: table1" in told
    assert told.endswith("is identical to the reference (in the 1 of 2 studies that were run here)")
    # A study whose numbers were gathered was run: its table must be there.
    (layout.tables / "table2.csv").unlink()
    write_text(layout.results_table("table2"), "x\n")
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "absent here: 4 rows of tables" in told
    shutil.rmtree(reference(layout) / "numbers")
    shutil.copy(layout.root / "tables/table2-comparisons.csv", layout.tables / "mine.csv")
    write_text(layout.tables / "table1.csv", "backbone,added\nDiT-B/2,1\nDiT-L/2,2\n")
    (reference(layout) / "tables/table1.csv").unlink()
    make_native(plan, layout)
    told, _ = verify_scale(plan, layout)
    assert "not in the reference, and not compared: table1" in told


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_seeds_that_both_have_are_compared(made, ablations, seeds):
    _, layout = made
    other = load_plan("smoke", ablations, seeds)
    shutil.rmtree(layout.root)
    make_results(other, layout)
    told, agree = verify_scale(other, layout)
    assert agree
    ours = "0 to 2" if seeds == 3 else "0"
    both = "0 to 1" if seeds == 3 else "0"
    assert f"seeds: {ours} here, 0 to 1 in the reference; runs are compared for {both}" in told
    assert "6 rows not compared, since they are of another number of seeds" in told
    edit(layout.metrics("unconditional", "dmp", 0), lambda table: table.assign(value="7.0"))
    assert not verify_scale(other, layout)[1]


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
    for path in [reference(layout) / "provenance.json"] if where == "reference" else paths:
        change(path, **changes)
    text, agree = verify_scale(plan, layout)
    assert agree
    first = text.splitlines()[0]
    assert first == f"statistics: {told}; identical bits are not expected"
    assert "means: 4 compared: 4 identical" in text
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
    edit(layout.metrics("unconditional", "dmp", 0), lambda table: table.assign(value="7.0"))
    assert told in verify_scale(plan, layout)[0]


def test_tables_that_do_not_follow_from_the_numbers_fail(made):
    plan, layout = made
    edit(layout.tables / "table2.csv", lambda table: table.replace({"9.0": "9.00001"}))
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "first row to differ: table2: unconditional/dmp: fid = 9.00001 here, 9.0 in" in told
    assert "`make rebuild` writes them anew" in told


def test_a_statistical_difference_ends_with_status_1(made, ablations):
    plan, layout = made
    make_native(plan, layout)
    edit(
        layout.tables / "table2.csv",
        lambda table: table.assign(mean=[str(float(value) + 500) for value in table["mean"]]),
    )
    done = command(ablations, layout)
    assert done.returncode == 1
    assert "3 outside and 0 measured on one side only (up to 1 are expected" in done.stdout
    assert "not comparable statistically: 1 means" in done.stdout
    assert done.stdout.splitlines()[-1] == "this run DIFFERS from the reference"
    rows = pd.read_csv(layout.root / "verify.csv")
    assert rows[rows["verdict"] == "outside"]["kind"].tolist() == ["mean"] * 3


def test_what_lacks_is_named(made):
    plan, layout = made
    shutil.move(layout.results / "reference", layout.results / "elsewhere")
    with pytest.raises(DMPError, match="no reference results for scale 'smoke'"):
        verify_scale(plan, layout)
    shutil.move(layout.results / "elsewhere", layout.results / "reference")
    (layout.tables / "table2.csv").unlink()
    before = files(reference(layout))
    with pytest.raises(DMPError, match=r"lacks the studies table2; make tables"):
        publish(plan, layout)
    shutil.rmtree(layout.tables)
    with pytest.raises(DMPError, match="run make tables"):
        verify_scale(plan, layout)
    make_results(plan, layout)
    shutil.rmtree(layout.run("unconditional", "dmp", 1))
    with pytest.raises(DMPError, match="unconditional/dmp/seed1 is missing"):
        publish(plan, layout)
    assert files(reference(layout)) == before


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("provenance.json", None, "does not exist"),
        ("provenance.json", "{", "is not valid JSON"),
        ("provenance.json", "{}", "missing key 'commit'"),
        ("provenance.json", "[]", "valid dictionary"),
        ("numbers/runs.csv", None, "does not exist"),
        ("numbers/runs.csv", "task,variant\n", "lacks the columns seed, metric"),
        ("numbers/runs.csv", "a,b\n1,2,3\n", "longer than its header"),
        ("numbers/baselines.csv", "\x00", "not a CSV table|lacks the columns"),
        ("tables/table2.csv", "", "not a CSV table"),
        ("tables/table2-comparisons.csv", None, "does not exist"),
        ("tables/table1.csv", "a,b\n1,2,3\n", "longer than its header"),
    ],
)
def test_a_damaged_reference_is_named_with_the_way_to_restore_it(made, name, damage, message):
    plan, layout = made
    path = reference(layout) / name
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
    for count in range(80):
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
    assert refused > 10
    assert verify_scale(plan, layout)[1]
    assert json.loads((reference(layout) / "provenance.json").read_text())
