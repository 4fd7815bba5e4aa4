"""``dmp compare``: the numbers of the tables, for any runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import ROOT, edit_yaml, make_tiny

from dmp.errors import DMPError
from dmp.files import write_json
from dmp.layout import Layout
from dmp.stages.collect import collect, gather_results
from dmp.stages.compare import compare, comparison_page, select
from dmp.statistics.results import read_results
from dmp.statistics.study import comparisons
from dmp.studies import Plan, load_plan
from dmp.studies.schema import METRICS

TASK = "unconditional"
VARIANTS = ("dmp", "baseline", "prompt-tuning", "dmp,depth=1")


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Plan:
    folder = tmp_path_factory.mktemp("compare")
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", folder / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d.update(seeds=5))
    return load_plan("smoke", ablations)


@pytest.fixture
def layout(plan, tmp_path) -> Layout:
    """Runs with numbers drawn at random, five seeds of each variant."""
    layout = Layout(tmp_path, "smoke")
    rng = np.random.default_rng(0)
    for variant in VARIANTS:
        for seed in plan.seeds:
            make_run(plan, layout, variant, seed, rng)
    verdict = {"converged": True, "fids": [9.0, 8.5], "iterations": [30, 40]}
    verdict |= {"relative_change": -0.01, "p_value": 0.5}
    for seed in plan.seeds:
        write_json(layout.convergence(TASK, seed), verdict)
        write_json(layout.pretrained(TASK, seed) / "provenance.json", {"commit": "1f7137f"})
    return layout


def make_run(plan, layout, variant, seed, rng, protocol="1a") -> None:
    run = plan.run(TASK, variant, seed)
    folder = layout.run(TASK, variant, seed)
    config = {"hash": run.hash, "baseline_seed": run.baseline_seed}
    write_json(folder / "config.json", config)
    write_json(folder / "provenance.json", {"commit": "1f7137f", "dirty": False})
    rows = [
        [metric, "all", run.iterations, repr(float(rng.normal(10, 1))), 128, protocol, "classifier"]
        for metric in METRICS
    ]
    columns = ["metric", "bin", "iteration", "value", "samples", "protocol", "evaluator"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "metrics.csv", index=False)


def differences(page) -> pd.DataFrame:
    """The table of paired differences, without the pads that align its points."""
    frame = next(t.frame for t in page.tables if "Comparison" in t.frame)
    return frame.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)


def names(*variants, seed=""):
    return [f"{TASK}/{variant}{seed}" for variant in variants]


def page_of(plan, layout, *asked):
    return comparison_page(plan, layout, *select(plan, layout, asked))


def test_numbers_are_those_of_the_study_for_the_same_pair(plan, layout):
    collect(plan, layout, "table2")
    study = plan.study("table2")
    expected = comparisons(read_results(layout.results_table("table2")), study)
    pair = study.comparisons[0]
    assert (pair.variant, pair.against) == ("dmp", "baseline")

    chosen, seeds = select(plan, layout, names("dmp", "baseline"))
    runs = [(TASK, v, s) for v in ("dmp", "baseline") for s in seeds]
    kinds = {"seed": int, "baseline_seed": int, "iteration": int, "value": float, "samples": int}
    found = comparisons(gather_results(plan, layout, runs).astype(kinds), chosen)

    assert seeds == plan.seeds
    pd.testing.assert_frame_equal(
        found.drop(columns="paper_effect"),
        expected[expected["variant"] == "dmp"].drop(columns="paper_effect").reset_index(drop=True),
        check_exact=True,
    )


def test_text_has_the_numbers_of_the_page(plan, layout):
    asked = names("dmp", "baseline", "prompt-tuning")
    text = compare(plan, layout, asked)

    assert text.startswith(f"{TASK}: dmp against baseline, prompt-tuning\n")
    assert plan.scale.conclusive or "no conclusion may be drawn" in " ".join(text.split())
    compared = differences(page_of(plan, layout, *asked))
    assert list(compared["Comparison"].unique()) == ["dmp − baseline", "dmp − prompt-tuning"]
    for _, row in compared.iterrows():
        for column in ("Comparison", "Difference [t interval]", "p exact, Holm", "Effect size g"):
            assert row[column] in text
    assert "corrected for the 2 comparisons" in text


def test_text_fits_a_terminal_and_leaves_no_column_out(plan, layout):
    long = "dmp,depth=1,gate_noise=true,gate_temperature=0.5,importance=summed,load=smooth"
    for seed in plan.seeds:
        make_run(plan, layout, long, seed, np.random.default_rng(seed))
    asked = names(long, "baseline", "prompt-tuning")
    text = compare(plan, layout, asked)

    assert max(map(len, text.splitlines())) <= 100
    words = {*text.split()}
    for table in page_of(plan, layout, *asked).tables:
        for name in table.frame.columns.drop("Task"):
            column = table.frame[name]
            assert (column == "–").all() or {*name.split()} <= words
            if name not in ("Method", "Comparison"):
                assert {word for value in column for word in value.split()} <= words


def test_holm_counts_the_comparisons_that_are_asked_for(plan, layout):
    def corrected(*variants):
        row = differences(page_of(plan, layout, *names(*variants))).iloc[0]
        return float(row["p t test"]), float(row["p t test, Holm"])

    alone, alone_holm = corrected("dmp", "baseline")
    among, among_holm = corrected("dmp", "baseline", "prompt-tuning", "dmp,depth=1")
    assert alone == alone_holm == among
    assert among < among_holm <= 1


def test_one_seed_has_a_difference_and_no_interval(plan, layout):
    asked = names("dmp", "baseline", seed="/seed3")
    text = compare(plan, layout, asked)

    assert "one seed, so that there is no interval and no test" in text
    values = [
        pd.read_csv(layout.metrics(TASK, v, 3)).set_index("metric")["value"]["fid"]
        for v in ("dmp", "baseline")
    ]
    shown = differences(page_of(plan, layout, *asked))["Difference [t interval]"].iloc[0]
    shown = shown.replace("−", "-")
    assert float(shown) == pytest.approx(values[0] - values[1], abs=0.005)


def test_seeds_named_one_by_one_are_a_set(plan, layout):
    asked = [f"{TASK}/{v}/seed{s}" for s in (4, 1) for v in ("dmp", "baseline")]

    assert select(plan, layout, asked)[1] == [1, 4]


@pytest.mark.parametrize("name", ["seed0 (copy)", "seed0.old", "seed"])
def test_copy_that_somebody_has_put_beside_a_run_is_none(plan, layout, name):
    run = layout.run(TASK, "dmp", 0)
    shutil.copytree(run, run.with_name(name))
    assert select(plan, layout, names("dmp", "baseline"))[1] == [0, 1, 2, 3, 4]


def test_variant_in_another_spelling_is_found(plan, layout):
    study, _ = select(plan, layout, names("dmp, depth=1", "baseline"))

    assert study.cells[0].variant == "dmp,depth=1"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["dmp", "baseline"], "'dmp' is not a run; accepted are task/variant"),
        ([f"{TASK}/dmp"], "at least two variants"),
        ([f"{TASK}/dmp", f"{TASK}/dmp/seed0"], "'unconditional/dmp/seed0' is named twice"),
        ([f"{TASK}/dmp", f"{TASK}/baseline/seed0"], "seeds 0, 1, 2, 3, 4 and .* 0; .*same seeds"),
        ([f"{TASK}/promt-tuning", f"{TASK}/dmp"], "did you mean 'unconditional/prompt-tuning'"),
        (["uncondtional/dmp", f"{TASK}/dmp"], "no run 'uncondtional/dmp': did you mean 'uncondi"),
        ([f"{TASK}/dmp,depth=2", f"{TASK}/dmp"], "no run .*you mean 'unconditional/dmp,depth=1'"),
        ([f"{TASK}/dmp/seed7", f"{TASK}/baseline/seed7"], "seeds 7, but with 0, 1, 2, 3, 4; name"),
    ],
)
def test_name_that_cannot_be_compared_is_explained(plan, layout, asked, said):
    with pytest.raises(DMPError, match=said):
        compare(plan, layout, asked)


def test_runs_of_two_tasks_are_refused(plan, layout):
    path = layout.run("class", "dmp", 0)
    shutil.copytree(layout.run(TASK, "dmp", 0), path)

    with pytest.raises(DMPError, match="runs of two tasks"):
        compare(plan, layout, [f"{TASK}/dmp/seed0", "class/dmp/seed0"])


def test_runs_that_were_measured_differently_are_refused(plan, layout):
    make_run(plan, layout, "dmp", 0, np.random.default_rng(1), protocol="2b")

    with pytest.raises(DMPError, match="measured differently"):
        compare(plan, layout, names("dmp", "baseline"))


def test_run_of_another_configuration_is_refused(plan, layout):
    path = layout.run(TASK, "dmp", 0) / "config.json"
    write_json(path, {**json.loads(path.read_text()), "hash": "other"})

    with pytest.raises(DMPError, match="belongs to another configuration"):
        compare(plan, layout, names("dmp", "baseline"))
