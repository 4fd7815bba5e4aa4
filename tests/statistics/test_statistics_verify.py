import numpy as np
import pandas as pd
import pytest
from fake_results import result_rows
from scipy import stats

from dmp.statistics.arms import Arms
from dmp.statistics.verify import (
    Row,
    exchange,
    exchange_test,
    judge_rows,
    rows_of,
    tell_statistics,
)
from dmp.studies.schema import Study

STUDY = Study(
    id="table2",
    title="t",
    metrics=["fid", "denoising_mse"],
    cells=[{"task": "t", "variant": v, "label": v} for v in ("baseline", "dmp", "prompt-tuning")],
    comparisons=[
        {"task": "t", "variant": v, "against": "baseline"} for v in ("dmp", "prompt-tuning")
    ],
)
ARMS = [(cell.variant, metric) for cell in STUDY.cells for metric in STUDY.metrics]


def results(values, baselines=None, lost=()):
    """Numbers of arms by seed: (arms, seeds), in the order of ``ARMS``."""
    seeds = range(np.shape(values)[1])
    table = [
        row
        for (variant, metric), own in zip(ARMS, values, strict=True)
        for row in result_rows({variant: own}, "t", metric)
        if (variant, row["seed"]) not in lost
    ]
    told = {variant: [(variant, seed) in lost for seed in seeds] for variant in dict(ARMS)}
    table += result_rows(told, "t", "diverged")
    rests_on = seeds if baselines is None else baselines
    return Arms(pd.DataFrame([row | {"baseline_seed": rests_on[row["seed"]]} for row in table]))


def draw(rng, seeds, skewed=False, effect=None):
    """(arms, seeds): each baseline moves all arms, each run its own, and no two arms alike."""
    shared, own = rng.normal(size=(2, seeds)), rng.normal(size=(len(ARMS), seeds))
    normal = 0.3 * np.array([shared[k % 2] for k in range(len(ARMS))]) + 0.1 * own
    if skewed:
        normal = np.sign(normal) * np.abs(normal) ** 3 * 20
    return np.exp(1 + normal) * (np.ones((len(ARMS), 1)) if effect is None else effect)


def compared(here, there, same=frozenset()):
    rows = rows_of(STUDY, here, there, same)
    found = exchange(rows)
    return judge_rows(rows), found, tell_statistics(judge_rows(rows), found)


def shifted(factor):
    """Everything of one arm times a factor."""
    return np.array([[factor if variant == "dmp" else 1.0] for variant, _ in ARMS])


def test_the_reference_itself_is_identical():
    values = draw(np.random.default_rng(0), 6)
    table, found, (lines, agree) = compared(results(values), results(values))
    assert set(table["verdict"]) == {"identical"}
    assert agree
    assert found[0].p == 1
    assert lines[0].startswith("means: 9 identical, 0 within the reference's 95 % prediction")


def test_intervals_are_those_of_a_new_mean_on_the_logarithms():
    rng = np.random.default_rng(0)
    a, b = draw(rng, 7), draw(rng, 3)
    table, _, _ = compared(results(b), results(a))
    row = table.iloc[0]
    logs = np.log(a[0])
    half = stats.t.ppf(0.975, 6) * logs.std(ddof=1) * np.sqrt(1 / 7 + 1 / 3)
    expected = np.exp([logs.mean(), logs.mean() - half, logs.mean() + half, np.log(b[0]).mean()])
    assert row[["reference", "low", "high", "here"]].tolist() == pytest.approx(expected.tolist())
    difference = table[table["kind"] == "difference"].iloc[0]
    ratio = np.exp((np.log(a[2]) - np.log(a[0])).mean())
    assert difference["reference"] == pytest.approx(ratio)
    assert (difference["scale"], difference["n_reference"], difference["n_here"]) == ("ratio", 7, 3)


def test_what_is_not_positive_is_compared_by_differences():
    rng = np.random.default_rng(0)
    a, b = draw(rng, 5) - 3, draw(rng, 3) - 3
    table, _, _ = compared(results(b), results(a))
    assert set(table["scale"]) == {"difference"}
    assert table.iloc[0]["here"] == pytest.approx(b[0].mean())


def test_seeds_of_one_baseline_are_one_unit():
    rng = np.random.default_rng(0)
    a, b = draw(rng, 12), draw(rng, 4)
    here = results(b, baselines=[0, 0, 1, 1])
    table, found, _ = compared(here, results(a, baselines=[k // 2 for k in range(12)]))
    assert set(table["n_reference"]) == {6}
    assert set(table["n_here"]) == {2}
    assert found[0].there == list(range(6))


@pytest.mark.parametrize("same", [True, False])
def test_one_baseline_stands_for_no_other(same):
    """Seeds are the units only where both rest on the same baseline."""
    rng = np.random.default_rng(1)
    a, b = draw(rng, 6), draw(rng, 3)
    tasks = frozenset({"t"}) if same else frozenset()
    sides = results(b, baselines=[0] * 3), results(a, baselines=[0] * 6)
    table, found, (lines, agree) = compared(*sides, tasks)
    assert agree
    if same:
        assert set(table["n_here"]) == {3}
        assert len(found) == 1
    else:
        measured = table[table["metric"] != "diverged"]
        assert set(measured["verdict"]) == {"not comparable"}
        assert measured[["low", "high"]].isna().all(axis=None)
        assert "nothing can be compared statistically" in lines[-1]


def test_an_arm_that_diverges_here_alone_is_found():
    rng = np.random.default_rng(0)
    lost = {("dmp", seed) for seed in range(4)}
    table, _, (lines, agree) = compared(results(draw(rng, 4), lost=lost), results(draw(rng, 12)))
    dmp = table[(table["variant"] == "dmp") & (table["metric"] != "diverged")]
    assert set(dmp["verdict"]) == {"measured on one side"}
    assert not agree
    assert "table2: t/dmp: diverged does, +1" in lines[-1]


def test_too_few_baselines_tell_nothing_and_say_so():
    rng = np.random.default_rng(0)
    here, there = results(draw(rng, 2, effect=shifted(9.0))), results(draw(rng, 3))
    _, _, (lines, agree) = compared(here, there)
    assert agree
    assert lines[-1].startswith("too few to tell a difference: 3 units of the reference (0 to 2)")


def test_exchange_of_one_row_is_the_permutation_test_of_scipy():
    rng = np.random.default_rng(0)
    for first, units in ((3, 9), (4, 8)):
        values = rng.normal(size=(1, units))
        outcome = stats.permutation_test(
            (values[0, :first], values[0, first:]),
            lambda x, y: abs(np.mean(x) - np.mean(y)),
            permutation_type="independent",
            alternative="greater",
            n_resamples=np.inf,
        )
        p, smallest, _ = exchange_test(values, first)
        assert p == pytest.approx(outcome.pvalue)
        assert smallest <= p


def test_many_units_are_exchanged_at_random():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 24))
    p, smallest, _ = exchange_test(values, 12)
    assert 0 < p <= 1
    values[1, :12] += 9
    assert exchange_test(values, 12) == (pytest.approx(1e-4, abs=2e-4), smallest, 1)


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize(("first", "units"), [(3, 9), (3, 15), (6, 12)])
def test_new_baselines_raise_an_alarm_in_at_most_5_of_100_runs(first, units, skewed):
    """Rows of one baseline differ together, as they do here; 99 % limit of the count."""
    rng, runs, alarms = np.random.default_rng(first), 400, 0
    for _ in range(runs):
        logs = np.log(draw(rng, units, skewed))
        logs = np.vstack([logs, logs[2:] - np.tile(logs[:2], (2, 1))])
        alarms += exchange_test(logs, first)[0] < 0.05
    assert alarms <= stats.binom.ppf(0.99, runs, 0.05)


def test_whole_comparisons_of_new_baselines_agree_and_those_of_another_arm_do_not():
    rng, runs, alarms, found = np.random.default_rng(1), 20, 0, 0
    for _ in range(runs):
        there = results(draw(rng, 12))
        alarms += not compared(results(draw(rng, 3)), there)[2][1]
        found += not compared(results(draw(rng, 3, effect=shifted(2.0))), there)[2][1]
    assert alarms <= stats.binom.ppf(0.99, runs, 0.05)
    assert found >= 0.9 * runs


def test_studies_with_other_seeds_are_tested_by_themselves_and_share_the_level():
    rng = np.random.default_rng(0)

    def rows(seeds, name):
        a, b = (pd.Series(rng.normal(size=n)) for n in (seeds, 3))
        return Row((name, "mean", "t", "v", "", "fid"), b, a)

    found = exchange([rows(12, "a"), rows(6, "b"), rows(6, "c")])
    assert [each.rows for each in found] == [1, 2]
    assert [each.smallest for each in found] == [pytest.approx(1 / 455), pytest.approx(1 / 84)]
    lines, _ = tell_statistics(judge_rows([]), found)
    assert all("(an alarm below 2.5 %)" in line for line in lines)
