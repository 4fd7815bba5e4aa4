import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from dmp.claims.evaluate import COLUMNS, evaluate
from dmp.claims.summary import summarise
from dmp.errors import DMPError
from dmp.statistics.paired import detectable_effect

BASE = np.array([10.2, 9.9, 10.4, 10.1])
SMALLER = BASE - [1.0, 1.2, 0.9, 1.1]
NOISE = BASE + np.array([0.3, -0.4, 0.1, 0.1])
DIFFERENCE = {
    "test": "difference", "task": "unconditional", "variant": "dmp", "against": "baseline",
    "predicts": "better",
}  # fmt: skip
# The fixtures are plain functions, which nothing changes between examples.
PROPERTY = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TUNED = DIFFERENCE | {"variant": "fine-tuning"}


def test_holm_counts_each_test_once_and_corrects_each_endpoint_by_itself(make, table, rows):
    both = [{"metric": "fid", "better": "lower"}, {"metric": "kid", "better": "lower"}]
    claims = make(DIFFERENCE, DIFFERENCE | {"paper": ["5", "6"]}, TUNED, endpoints=both)
    arms = {"dmp": SMALLER, "fine-tuning": NOISE, "baseline": BASE}
    results = table(rows(arms), rows({v: 2 * x for v, x in arms.items()}, metric="kid"))
    evaluated = evaluate(claims, results)
    assert list(evaluated) == list(COLUMNS)
    assert evaluated["metric"].tolist() == ["fid", "kid"] * 3
    p = [stats.ttest_rel(arm, BASE).pvalue for arm in (SMALLER, NOISE)]
    assert evaluated["p_holm"].to_numpy() == pytest.approx(
        np.repeat([2 * p[0], 2 * p[0], max(p[1], 2 * p[0])], 2)
    )


def test_sentence_of_an_inconclusive_verdict_says_what_could_have_been_found(make, table, rows):
    results = table(rows({"dmp": NOISE, "baseline": BASE}))
    row = evaluate(make(DIFFERENCE | {"paper": ["6.4", "6.6"]}), results).iloc[0]
    sd = np.std(NOISE - BASE, ddof=1)
    assert row.detectable == pytest.approx(detectable_effect(4) * sd)
    # A two-sided t test of that many pairs, by the noncentral F distribution.
    d = 0.2 / 6.6 * BASE.mean() / sd
    powers = {n: stats.ncf.sf(stats.f.ppf(0.95, 1, n - 1), 1, n - 1, n * d**2)
              for n in range(2, 60)}  # fmt: skip
    needed = min(n for n, power in powers.items() if power >= 0.8)
    assert row.seeds_needed == needed
    assert row.power == pytest.approx(powers[4], abs=1e-4)
    assert row.reason == (
        f"with 4 seeds an effect of {row.detectable:.3f} FID could have been found; "
        f"the paper's −3.0 % would need {needed} seeds"
    )


def test_an_effect_lost_by_the_correction_is_told(make, table, rows):
    arms = {"dmp": BASE - [0.9, 0.2, 0.5, 0.5], "fine-tuning": NOISE, "baseline": BASE}
    claims = make(DIFFERENCE, TUNED, TUNED | {"predicts": "not-better"})
    row = evaluate(claims, table(rows(arms))).iloc[0]
    assert row.p < 0.05 < row.p_holm
    assert (row.verdict, "found only before the correction" in row.reason) == ("inconclusive", True)


def test_one_seed_gives_no_verdict(make, table, rows):
    row = evaluate(make(DIFFERENCE), table(rows({"dmp": [9.0], "baseline": [10.0]}))).iloc[0]
    assert (row.effect, row.n, row.verdict) == (-1, 1, "inconclusive")
    assert np.isnan([row.low, row.p, row.p_holm, row.detectable]).all()
    assert row.reason == "one seed gives neither an interval nor a test"
    assert pd.isna(row.seeds_needed)
    assert pd.isna(row.paper_excluded)


def test_baselines_are_the_units_where_there_are_several(make, table, rows):
    results = table(rows({"dmp": SMALLER, "baseline": BASE}))
    results["baseline_seed"] = results["seed"] % 2
    row = evaluate(make(DIFFERENCE), results).iloc[0]
    means = [(SMALLER - BASE)[k::2].mean() for k in (0, 1)]
    assert (row.n, row.unit) == (2, "baseline")
    assert row.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_what_does_nothing_is_no_help(make, table, rows):
    results = table(rows({"dmp": BASE, "baseline": BASE}))
    row = evaluate(make(DIFFERENCE), results).iloc[0]
    assert (row.verdict, row.low, row.high) == ("contradicted", 0, 0)
    assert "equal to the last digit in each of 4 seeds" in row.reason
    row = evaluate(make(DIFFERENCE | {"predicts": "not-better"}), results).iloc[0]
    assert row.verdict == "supported"


def test_equal_differences_that_are_not_zero_are_certain(make, table, rows):
    results = table(rows({"dmp": BASE - 1, "baseline": BASE}))
    row = evaluate(make(DIFFERENCE | {"paper": ["5", "6"]}), results).iloc[0]
    assert (row.verdict, row.p, row.seeds_needed, row.power) == ("supported", 0, 2, 1)


@pytest.mark.parametrize(
    ("arms", "fields", "told"),
    [
        ({"dmp": BASE}, {}, "no fid of baseline on unconditional"),
        ({"dmp": BASE[:3], "baseline": BASE}, {}, "dmp lacks seeds 3"),
        ({}, {"not_run": {"unconditional": "too big"}}, "not run at this scale: too big"),
        ({}, {}, "the results have no task unconditional"),
    ],
)
def test_missing_cells_are_not_tested(make, table, rows, arms, fields, told):
    other = rows({"dmp": BASE}, task="class-conditional")
    claims = make(DIFFERENCE, TUNED | {"task": "class-conditional", "variant": "dmp"})
    evaluated = evaluate(claims, table(rows(arms), other), **fields)
    row = evaluated.iloc[0]
    assert (row.verdict, np.isnan(row.p)) == ("not tested", True)
    assert told in row.reason
    summary = summarise(evaluated, claims)
    assert summary["verdict"].tolist() == ["not tested", "not tested"]
    assert summary["reason"][0] == row.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: pd.concat([r, r.iloc[:1]]), "seed 0 stands in more than one row"),
        (
            lambda r: r.assign(protocol=["q"] * 4 + ["p"] * 4),
            "q: dmp; protocol p: baseline",
        ),
        (lambda r: r.assign(samples=[9] + [1] * 7), "samples 9: seed 0; samples 1: seed 1, "),
        (lambda r: r.assign(baseline_seed=[1] + [0] * 7), "seed 0 rest on different baselines"),
        (lambda r: r.assign(value=np.nan), "must be a finite number"),
        (lambda r: r.drop(columns="iteration"), "lacks the columns iteration"),
    ],
)
def test_what_cannot_be_compared_is_refused(make, table, rows, change, message):
    results = change(table(rows({"dmp": SMALLER, "baseline": BASE})))
    with pytest.raises(DMPError, match=message):
        evaluate(make(DIFFERENCE), results)


@PROPERTY
@given(order=st.permutations(range(12)), relabelled=st.permutations(range(4)))
def test_order_of_rows_and_names_of_seeds_do_not_matter(make, table, rows, order, relabelled):
    claims = make(DIFFERENCE, TUNED)
    results = table(rows({"dmp": SMALLER, "fine-tuning": NOISE, "baseline": BASE}))
    first = evaluate(claims, results)
    pd.testing.assert_frame_equal(first, evaluate(claims, results.iloc[list(order)]))
    renamed = results.assign(seed=results["seed"].map(dict(enumerate(relabelled))))
    pd.testing.assert_frame_equal(first, evaluate(claims, renamed), rtol=1e-12)


@PROPERTY
@given(st.lists(st.tuples(st.floats(1, 20), st.floats(1, 20)), min_size=3, max_size=5))
def test_swapped_arms_mirror(make, table, rows, pairs):
    a, b = np.round(np.array(pairs).T, 3)
    results = table(rows({"dmp": a, "baseline": b}))
    swapped = DIFFERENCE | {"variant": "baseline", "against": "dmp", "predicts": "worse"}
    one = evaluate(make(DIFFERENCE), results).iloc[0]
    other = evaluate(make(swapped), results).iloc[0]
    assert (one.effect, one.low, one.high) == pytest.approx(
        (-other.effect, -other.high, -other.low), abs=1e-9
    )
    assert one.p == pytest.approx(other.p, rel=1e-6)
    assert one.verdict == other.verdict


@pytest.mark.parametrize(
    ("arms", "verdict"),
    [
        ((SMALLER, SMALLER - 0.1), "supported"),
        ((SMALLER, NOISE), "inconclusive"),
        ((SMALLER, 2 * BASE - SMALLER), "contradicted"),
        ((NOISE, 2 * NOISE - BASE), "inconclusive"),
        ((SMALLER, None), "supported"),
    ],
)
def test_a_claim_needs_all_of_its_evidence(make, table, rows, arms, verdict):
    claim = {"id": "C01", "statement": "s", "location": "l", "evidence": [DIFFERENCE, TUNED],
             "contradicted_in_paper": "Table 9"}  # fmt: skip
    claims = make(claims=[claim])
    found = dict(zip(("dmp", "fine-tuning"), arms, strict=True)) | {"baseline": BASE}
    found = {variant: values for variant, values in found.items() if values is not None}
    row = summarise(evaluate(claims, table(rows(found))), claims).iloc[0]
    assert row.verdict == verdict
    assert row.reason.startswith("of 2 pieces of evidence ")
    assert row.contradicted_in_paper == "Table 9"


def test_each_secondary_endpoint_has_a_verdict_of_its_own(make, table, rows):
    both = [{"metric": "fid", "better": "lower"}, {"metric": "kid", "better": "lower"}]
    claims = make(DIFFERENCE, {"test": "untested", "reason": "r"}, endpoints=both)
    results = table(
        rows({"dmp": SMALLER, "baseline": BASE}),
        rows({"dmp": NOISE, "baseline": BASE}, metric="kid"),
    )
    summary = summarise(evaluate(claims, results), claims)
    assert summary["verdict"].tolist() == ["supported", "not tested"]
    assert summary["verdict_kid"].tolist() == ["inconclusive", ""]
