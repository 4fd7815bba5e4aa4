from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_results import result_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.holm import holm
from dmp.statistics.study import (
    CELL_COLUMNS,
    COMPARISON_COLUMNS,
    cells,
    comparisons,
    paper_difference,
)

PAPER = {"baseline": 6.27, "fine-tuning": "6.80", "dmp": 5.87}
TASKS = ("unconditional", "class-conditional")
NOT_BUILT = "text conditioning is not built yet"


def make_study(**changes):
    every = [*TASKS, "text-conditional"]
    study = SimpleNamespace(
        id="table2",
        metrics=["fid", "denoising_mse"],
        cells=[
            SimpleNamespace(
                task=task,
                variant=variant,
                label=variant.upper(),
                paper={"fid": number},
                not_run=NOT_BUILT if task == "text-conditional" else None,
                unmeasured={},
            )
            for task in every
            for variant, number in PAPER.items()
        ],
        comparisons=[
            SimpleNamespace(task=task, variant=variant, against="baseline")
            for task in every
            for variant in ("dmp", "fine-tuning")
        ],
    )
    vars(study).update(changes)
    return study


def make_results(seeds=4, baselines=1):
    rng = np.random.default_rng(0)
    columns = [("fid", "all"), ("denoising_mse", "all"), ("denoising_mse", "0-99")]
    rows = [
        row
        | {"baseline_seed": row["seed"] % baselines}
        | {"iteration": 0 if row["variant"] == "baseline" else 300}
        for task in TASKS
        for metric, bin_ in columns
        for row in result_rows({v: rng.normal(10, 1, seeds) for v in PAPER}, task, metric, bin=bin_)
    ]
    return pd.DataFrame(rows)


def values(results, variant, task=TASKS[0], metric="fid"):
    rows = results[(results[["task", "variant", "metric"]] == [task, variant, metric]).all(axis=1)]
    return rows[rows["bin"] == "all"].sort_values("seed")["value"].to_numpy()


def where(results, **keys):
    return np.logical_and.reduce([results[name] == value for name, value in keys.items()])


def pick(table, task=TASKS[0], variant="dmp", metric="fid"):
    (_, row), *more = table[where(table, task=task, variant=variant, metric=metric)].iterrows()
    assert not more
    return row


def test_cells_and_comparisons_agree_with_scipy():
    results = make_results()
    row = pick(cells(results, make_study()))
    oracle = stats.ttest_1samp(values(results, "dmp"), 0).confidence_interval()
    assert (row.low, row.high) == pytest.approx((oracle.low, oracle.high))
    assert (row.label, row.seeds, row.unit, row.units) == ("DMP", 4, "seed", 4)
    assert (row.paper, row.samples, row.protocol, row.status) == (5.87, 1000, "p", "ok")
    row = pick(comparisons(results, make_study()))
    oracle = stats.ttest_rel(values(results, "dmp"), values(results, "baseline"))
    assert row.p_t == pytest.approx(oracle.pvalue)
    assert row["mean"] == pytest.approx(
        (values(results, "dmp") - values(results, "baseline")).mean()
    )
    assert (row.against, row.n, row.unit) == ("baseline", 4, "seed")


def test_tables_have_one_row_per_metric_in_the_order_of_the_study():
    study, results = make_study(), make_results()
    estimated, compared = cells(results, study), comparisons(results, study)
    assert list(estimated) == list(CELL_COLUMNS)
    assert list(compared) == list(COMPARISON_COLUMNS)
    assert list(zip(estimated["task"], estimated["variant"], estimated["metric"], strict=True)) == [
        (cell.task, cell.variant, metric) for cell in study.cells for metric in study.metrics
    ]
    assert len(compared) == len(study.comparisons) * len(study.metrics)


def test_cell_that_is_not_run_says_why_and_has_no_number():
    row = pick(
        cells(make_results(), make_study()), task="text-conditional", variant="dmp", metric="fid"
    )
    assert row.status == f"not run at this scale: {NOT_BUILT}"
    assert row[["mean", "low", "high", "sd", "seeds", "samples"]].isna().all()
    assert row.paper == 5.87


def test_metric_that_a_task_cannot_have_is_told_and_leaves_the_others_alone():
    study, results = make_study(), make_results()
    for cell in study.cells:
        if cell.task == TASKS[0]:
            cell.unmeasured = {"denoising_mse": "no noise is predicted"}
    lacks = (results["task"] == TASKS[0]) & (results["metric"] == "denoising_mse")
    table = cells(results[~lacks], study).set_index(["task", "variant", "metric"])
    assert table.loc[(TASKS[0], "dmp", "denoising_mse"), "status"] == "no noise is predicted"
    assert np.isnan(table.loc[(TASKS[0], "dmp", "denoising_mse"), "mean"])
    full = cells(results, make_study()).set_index(["task", "variant", "metric"])
    for task, metric in ((TASKS[0], "fid"), (TASKS[1], "denoising_mse")):
        assert table.loc[(task, "dmp", metric), "mean"] == full.loc[(task, "dmp", metric), "mean"]
    found = comparisons(results[~lacks], study).set_index(["task", "variant", "metric"])
    assert found.loc[(TASKS[0], "dmp", "denoising_mse"), "status"] == "no noise is predicted"
    assert found.loc[(TASKS[0], "dmp", "fid"), "status"] == "ok"


def test_holm_corrects_each_metric_by_itself_and_skips_what_is_not_run():
    results = make_results()
    results.loc[results["variant"] == "dmp", "value"] -= 6
    table = comparisons(results, make_study())
    assert table["p_t_holm"].min() < 0.05
    for metric in ("fid", "denoising_mse"):
        rows = table[table["metric"] == metric]
        run = rows["status"] == "ok"
        for test in ("p_t", "p_exact"):
            np.testing.assert_array_equal(rows.loc[run, f"{test}_holm"], holm(rows.loc[run, test]))
            assert rows.loc[~run, f"{test}_holm"].isna().all()
    assert run.sum() == 4


def test_effect_in_the_paper_has_no_rounding_noise():
    table = comparisons(make_results(), make_study())
    assert pick(table).paper_effect == -0.4
    assert pick(table, task=TASKS[0], variant="fine-tuning", metric="fid").paper_effect == 0.53
    assert table[table["metric"] == "denoising_mse"]["paper_effect"].isna().all()


def test_paper_difference_keeps_printed_digits():
    assert str(paper_difference(5.87, "6.27")) == "-0.40"
    assert paper_difference("6.80", "6.27") == Decimal("0.53")
    for unknown in (None, "<5", "nan"):
        assert paper_difference(unknown, 6.27) is None


def test_several_baselines_become_the_unit():
    results, study = make_results(baselines=2), make_study()
    cell = pick(cells(results, study))
    assert (cell.seeds, cell.unit, cell.units, cell.baseline_seeds) == (4, "baseline", 2, "0;1")
    found = pick(comparisons(results, study))
    difference = values(results, "dmp") - values(results, "baseline")
    by_baseline = [difference[::2].mean(), difference[1::2].mean()]
    assert found.p_t == pytest.approx(stats.ttest_1samp(by_baseline, 0).pvalue)


def test_a_cell_with_a_run_that_was_not_finite_has_no_mean_over_the_others():
    results = make_results()
    lost = where(results, task=TASKS[0], variant="dmp", seed=1)
    diverged = results[lost].iloc[:1].assign(metric="diverged", value=1.0)
    results = pd.concat([results[~lost], diverged], ignore_index=True)
    told = "diverged: not finite in 1 of 4 seeds"
    row = pick(cells(results, make_study()))
    assert row.status == told
    assert np.isnan(row["mean"])
    found = comparisons(results, make_study())
    assert pick(found).status == told
    assert pick(found, task=TASKS[1]).status == "ok"


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_rows_changes_no_bit(random):
    results, study = make_results(baselines=2), make_study()
    order = random.sample(range(len(results)), len(results))
    shuffled = results.iloc[order]
    pd.testing.assert_frame_equal(cells(shuffled, study), cells(results, study), check_exact=True)
    pd.testing.assert_frame_equal(
        comparisons(shuffled, study), comparisons(results, study), check_exact=True
    )


def test_single_seed_gives_numbers_without_intervals():
    results, study = make_results(seeds=1), make_study()
    row = pick(comparisons(results, study))
    assert (row.n, row.p_exact, row.status) == (1, 1.0, "ok")
    assert np.isfinite(row["mean"])
    assert np.isnan(row.t_low)


@pytest.mark.parametrize("nothing", ["comparisons", "cells"])
def test_study_with_nothing_in_it_gives_empty_tables(nothing):
    study = make_study(**{nothing: [], "comparisons": []})
    assert list(comparisons(make_results(), study)) == list(COMPARISON_COLUMNS)
    assert len(comparisons(make_results(), study)) == 0
    assert len(cells(make_results(), study)) == (0 if nothing == "cells" else 18)


def test_scale_at_which_nothing_is_run_still_gives_a_table():
    study = make_study()
    for cell in study.cells:
        cell.not_run = "needs a cluster"
    empty = make_results().iloc[:0]
    assert (cells(empty, study)["status"] == "not run at this scale: needs a cluster").all()
    assert comparisons(empty, study)["p_t_holm"].isna().all()


@pytest.mark.parametrize("column", ["protocol", "evaluator", "samples"])
@pytest.mark.parametrize("seeds", [[0, 1, 2, 3], [3]])
def test_different_protocols_are_never_compared(column, seeds):
    results = make_results()
    changed = where(results, task=TASKS[0], variant="dmp") & results["seed"].isin(seeds)
    other = 5000 if column == "samples" else "p2"
    original = results[column].iloc[0]
    results.loc[changed, column] = other
    with pytest.raises(DMPError, match="different protocols are never compared") as caught:
        comparisons(results, make_study())
    message = str(caught.value)
    for part in (f"{column} {original}: ", f"{column} {other}: ", TASKS[0], "metric fid"):
        assert part in message
    if len(seeds) == 1:
        with pytest.raises(DMPError, match="different protocols are never compared"):
            cells(results, make_study())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"task": TASKS[0], "variant": "dmp", "seed": 2},
            "task unconditional, variant dmp, metric fid: the results lack seed 2; every cell",
        ),
        (
            {"task": TASKS[0], "metric": "denoising_mse"},
            "no denoising_mse of baseline on unconditional in the results; every cell",
        ),
        ({"task": TASKS[1]}, "study table2: no fid of baseline on class-conditional"),
    ],
)
def test_what_is_missing_is_named(keys, message):
    results = make_results()
    for table in (cells, comparisons):
        with pytest.raises(DMPError, match=message):
            table(results[~where(results, **keys)], make_study())


def test_double_row_is_named():
    results = make_results()
    double = pd.concat([results, results[where(results, variant="dmp", seed=1)]])
    for table in (cells, comparisons):
        with pytest.raises(DMPError, match="task unconditional, variant dmp, metric fid: seed 1 "):
            table(double, make_study())


def test_runs_from_different_baselines_do_not_pair():
    results = make_results()
    results.loc[where(results, task=TASKS[0], variant="dmp", seed=3), "baseline_seed"] = 1
    with pytest.raises(DMPError, match="dmp against baseline, metric fid: seed 3 rest"):
        comparisons(results, make_study())


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        ({"variant": "dmp"}, {"iteration": 100, "value": 1e9}),
        ({"metric": "denoising_mse"}, {"bin": "100-199", "value": 1e9}),
        ({}, {"variant": "dmp,gate=attention", "protocol": "p9", "seed": 90}),
    ],
    ids=["before the last iteration", "ranges of timesteps", "other studies"],
)
def test_what_is_not_of_the_cells_does_not_enter(keys, changes):
    results = make_results()
    other = results[where(results, bin="all", **keys)].assign(**changes)
    more = pd.concat([other, results], ignore_index=True)
    for table in (cells, comparisons):
        pd.testing.assert_frame_equal(table(more, make_study()), table(results, make_study()))
