import numpy as np
import pandas as pd
import pytest
from claim_examples import BASE, DIFFERENCE, SMALLER, judge, make, rows, table
from fake_results import relevant
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from dmp.claims.evaluate import COLUMNS, evaluate
from dmp.claims.summary import summarise
from dmp.errors import DMPError
from dmp.statistics.paired import detectable_effect

NOISE = BASE + np.array([0.3, -0.4, 0.1, 0.1])
PROPERTY = settings(max_examples=10, deadline=None)
TUNED = DIFFERENCE | {"variant": "fine-tuning"}


def whole(pieces, number=1):
    """A claim of several pieces."""
    return {"id": f"C{number:02}", "statement": "s", "location": "l", "evidence": pieces,
            "contradicted_in_paper": "Table 9"}  # fmt: skip


def one_sided(arm, bound, side):
    return stats.ttest_1samp(np.log(arm / BASE), bound, alternative=side).pvalue


def test_each_endpoint_is_a_family_of_its_own_in_two_directions():
    both = [relevant("fid", 1), relevant("kid", 2)]
    claims = make(DIFFERENCE, TUNED, endpoints=both)
    arms = {"dmp": SMALLER, "fine-tuning": NOISE, "baseline": BASE}
    results = table(rows(arms), rows({v: 2 * x for v, x in arms.items()}, metric="kid"))
    evaluated = evaluate(claims, results)
    assert list(evaluated) == list(COLUMNS)
    assert evaluated["metric"].tolist() == ["fid", "kid"] * 2
    for name, bounds, side in (("for", (0, 0), "less"), ("against", (1, 2), "greater")):
        for metric, bound in zip(("fid", "kid"), bounds, strict=True):
            own = evaluated[evaluated["metric"] == metric]
            p = [one_sided(arm, -np.log1p(bound / 100), side) for arm in (SMALLER, NOISE)]
            assert own[f"p_{name}"].to_numpy() == pytest.approx(p)
            # Holm: the smaller counts twice where it decides, the other then once.
            smaller, larger = sorted(p)
            last = larger if 2 * smaller <= 0.025 else 2 * larger
            expected = {smaller: 2 * smaller, larger: min(1, last)}
            assert own[f"p_{name}_holm"].to_numpy() == pytest.approx([expected[x] for x in p])


def test_within_a_claim_all_must_pass_uncorrected_and_one_refutes_corrected():
    slight = BASE - [0.9, 0.4, 0.6, 0.6]
    arms = {"dmp": slight, "fine-tuning": slight, "baseline": BASE}
    claims = make(claims=[whole([DIFFERENCE, TUNED])])
    row = evaluate(claims, table(rows(arms))).iloc[0]
    p = one_sided(slight, 0, "less")
    # Two tests, and nothing to correct: as claims of their own the larger p value is doubled.
    assert p < 0.025
    assert row.p_for_holm == pytest.approx(p)
    against = [one_sided(slight, -np.log1p(0.01), "greater")] * 2
    assert row.p_against_holm == pytest.approx(min(1, 2 * against[0]))
    alone = evaluate(make(DIFFERENCE, TUNED), table(rows(arms))).iloc[0]
    assert alone.p_for_holm == pytest.approx(2 * p)


def test_sentence_of_an_inconclusive_verdict_says_what_could_have_been_found():
    row = judge(DIFFERENCE | {"paper": ["6.4", "6.6"]}, {"dmp": NOISE, "baseline": BASE})
    sd = np.std(np.log(NOISE / BASE), ddof=1)
    assert row.detectable == pytest.approx(100 * np.expm1(detectable_effect(4) * sd))

    def needed(effect):
        # A two-sided t test of that many pairs, by the noncentral F distribution.
        powers = {n: stats.ncf.sf(stats.f.ppf(0.95, 1, n - 1), 1, n - 1, n * effect**2)
                  for n in range(2, 120)}  # fmt: skip
        return min(n for n, power in powers.items() if power >= 0.8), powers[4]

    papers, power = needed(np.log(6.4 / 6.6) / sd)
    assert row.units_paper == papers
    assert row.power == pytest.approx(power, abs=1e-4)
    assert row.units_relevant == needed(np.log1p(0.01) / sd)[0]
    assert row.reason == (
        f"FID is higher by {row.effect:.3f} %; smallest detectable effect with 4 "
        f"seeds: {row.detectable:.2f} %; detecting or excluding 1 % would take {row.units_relevant}"
    )


def test_a_verdict_lost_by_the_correction_is_told():
    arms = {"dmp": BASE - [0.9, 0.2, 0.5, 0.5], "fine-tuning": NOISE, "baseline": BASE}
    claims = make(DIFFERENCE, TUNED, TUNED | {"predicts": "not-better"})
    row = evaluate(claims, table(rows(arms))).iloc[0]
    assert row.p_for < 0.025 < row.p_for_holm
    told = "decided only before the correction for the whole page"
    assert (row.verdict, told in row.reason) == ("inconclusive", True)


def test_one_seed_gives_no_verdict():
    row = judge(DIFFERENCE, {"dmp": [9.0], "baseline": [10.0]})
    assert (row.effect, row.n, row.verdict) == (pytest.approx(-10), 1, "inconclusive")
    assert np.isnan([row.low, row.p_for, row.p_for_holm, row.detectable]).all()
    assert row.reason == "one seed gives neither an interval nor a test"
    assert pd.isna(row.units_relevant)
    assert pd.isna(row.paper_excluded)


def test_baselines_are_the_units_where_there_are_several():
    results = rows({"dmp": SMALLER, "baseline": BASE})
    row = judge(DIFFERENCE, None, [row | {"baseline_seed": row["seed"] % 2} for row in results])
    means = [np.log(SMALLER / BASE)[k::2].mean() for k in (0, 1)]
    assert (row.n, row.unit) == (2, "baseline")
    assert row.p_for == pytest.approx(stats.ttest_1samp(means, 0, alternative="less").pvalue)


def test_what_does_nothing_is_no_help():
    arms = {"dmp": BASE, "baseline": BASE}
    row = judge(DIFFERENCE, arms)
    assert (row.verdict, row.low, row.high) == ("contradicted", 0, 0)
    assert "equal to the last digit in each of 4 seeds" in row.reason
    assert judge(DIFFERENCE | {"predicts": "not-better"}, arms).verdict == "supported"


def test_equal_ratios_that_are_not_one_are_certain():
    base = np.array([2.0, 4.0, 8.0])
    row = judge(DIFFERENCE | {"paper": ["5", "6"]}, {"dmp": base / 2, "baseline": base})
    assert (row.verdict, row.p_for, row.units_paper, row.power) == ("supported", 0, 2, 1)


@pytest.mark.parametrize(
    ("arms", "fields", "told"),
    [
        ({"dmp": BASE}, {}, "no fid of baseline on unconditional"),
        ({"dmp": BASE[:3], "baseline": BASE}, {}, "dmp lacks seeds 3"),
        ({}, {"not_run": {"unconditional": "too big"}}, "not run at this scale: too big"),
        ({}, {}, "the results have no task unconditional"),
    ],
)
def test_missing_cells_are_not_tested(arms, fields, told):
    other = rows({"dmp": BASE}, task="class-conditional")
    claims = make(DIFFERENCE, TUNED | {"task": "class-conditional", "variant": "dmp"})
    evaluated = evaluate(claims, table(rows(arms), other), **fields)
    row = evaluated.iloc[0]
    assert (row.verdict, np.isnan(row.p_for)) == ("not tested", True)
    assert told in row.reason
    summary = summarise(evaluated, claims)
    assert summary["verdict"].tolist() == ["not tested", "not tested"]
    assert summary["reason"][0] == row.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: pd.concat([r, r.iloc[:1]]), "seed 0 stands in more than one row"),
        (lambda r: r.assign(protocol=["q"] * 4 + ["p"] * 4), "q: dmp; protocol p: baseline"),
        (lambda r: r.assign(samples=[9] + [1] * 7), "samples 9: seed 0; samples 1: seed 1, "),
        (lambda r: r.assign(baseline_seed=[1] + [0] * 7), "seed 0 rest on different baselines"),
        (lambda r: r.assign(value=np.nan), "must be a finite number"),
        (lambda r: r.drop(columns="iteration"), "lacks the columns iteration"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    results = change(table(rows({"dmp": SMALLER, "baseline": BASE})))
    with pytest.raises(DMPError, match=message):
        evaluate(make(DIFFERENCE), results)


@PROPERTY
@given(order=st.permutations(range(12)), relabelled=st.permutations(range(4)))
def test_order_of_rows_and_names_of_seeds_do_not_matter(order, relabelled):
    claims = make(DIFFERENCE, TUNED)
    results = table(rows({"dmp": SMALLER, "fine-tuning": NOISE, "baseline": BASE}))
    first = evaluate(claims, results)
    pd.testing.assert_frame_equal(first, evaluate(claims, results.iloc[list(order)]))
    renamed = results.assign(seed=results["seed"].map(dict(enumerate(relabelled))))
    pd.testing.assert_frame_equal(first, evaluate(claims, renamed), rtol=1e-12)


@PROPERTY
@given(st.lists(st.tuples(st.floats(1, 20), st.floats(1, 20)), min_size=3, max_size=5))
def test_swapped_arms_mirror(pairs):
    a, b = np.round(np.array(pairs).T, 3)
    logs = np.log(a / b)
    assume(np.ptp(logs) > 1e-6)
    swapped = DIFFERENCE | {"variant": "baseline", "against": "dmp", "predicts": "worse"}
    one, other = (judge(given, {"dmp": a, "baseline": b}) for given in (DIFFERENCE, swapped))
    mirrored = [100 / (1 + x / 100) - 100 for x in (other.effect, other.high, other.low)]
    assert [one.effect, one.low, one.high] == pytest.approx(mirrored, rel=1e-6, abs=1e-9)
    for name in ("p_for", "p_against", "p_sign_flip"):
        assert one[name] == pytest.approx(other[name], rel=1e-6)
    assert one.verdict == other.verdict


@pytest.mark.parametrize(
    ("arms", "verdict"),
    [
        ((SMALLER, SMALLER - 0.1), "supported"),
        ((SMALLER, NOISE), "inconclusive"),
        ((SMALLER, 2 * BASE - SMALLER), "contradicted"),
        ((NOISE, 2 * NOISE - BASE), "inconclusive"),
        # An effect that is there and too small to matter refutes the whole.
        ((SMALLER, BASE * 0.999 - [0, 1e-3, 0, 1e-3]), "contradicted"),
        ((SMALLER, None), "supported"),
    ],
)
def test_a_claim_needs_all_of_its_evidence(arms, verdict):
    claims = make(claims=[whole([DIFFERENCE, TUNED])])
    found = dict(zip(("dmp", "fine-tuning"), arms, strict=True)) | {"baseline": BASE}
    found = {variant: values for variant, values in found.items() if values is not None}
    row = summarise(evaluate(claims, table(rows(found))), claims).iloc[0]
    assert row.verdict == verdict
    assert row.reason.startswith("of 2 pieces of evidence ")
    assert row.contradicted_in_paper == "Table 9"


def test_each_secondary_endpoint_has_a_verdict_of_its_own():
    both = [relevant("fid", 1), relevant("kid", 1)]
    claims = make(DIFFERENCE, {"test": "untested", "reason": "r"}, endpoints=both)
    results = table(
        rows({"dmp": SMALLER, "baseline": BASE}),
        rows({"dmp": NOISE, "baseline": BASE}, metric="kid"),
    )
    summary = summarise(evaluate(claims, results), claims)
    assert summary["verdict"].tolist() == ["supported", "not tested"]
    assert summary["verdict_kid"].tolist() == ["inconclusive", ""]


def test_arithmetic_that_fails_decides_a_claim_and_counts_in_no_correction():
    wrong = {"test": "arithmetic", "from": "6", "to": "5", "claimed_percent": "1", "digits": 0}
    claims = make(claims=[whole([DIFFERENCE, wrong]), whole([TUNED], 2)])
    results = table(rows({"dmp": SMALLER, "fine-tuning": SMALLER, "baseline": BASE}))
    evaluated = evaluate(claims, results)
    summary = summarise(evaluated, claims)
    assert summary["verdict"].tolist() == ["contradicted", "supported"]
    assert summary["why"][0] == evaluated["reason"][1]  # the piece that decides
    first, _, last = evaluated.itertuples()
    assert np.isnan(first.p_for_holm)
    assert last.p_for_holm == last.p_for


def test_arithmetic_alone_does_not_support_what_runs_would_show():
    """Runs that a scale cannot afford leave a claim open, however well the paper calculates."""
    right, wrong = (
        {"test": "arithmetic", "from": "6", "to": "5", "claimed_percent": percent, "digits": 0}
        for percent in ("17", "1")
    )
    elsewhere = TUNED | {"task": "class-conditional"}
    claims = make(
        claims=[whole([elsewhere, right]), whole([elsewhere, wrong], 2), whole([right], 3)]
    )
    results = table(rows({"dmp": SMALLER, "baseline": BASE}))
    summary = summarise(evaluate(claims, results), claims)
    assert summary["verdict"].tolist() == ["not tested", "contradicted", "supported"]
    assert "class-conditional" in summary["why"][0]


def test_a_claim_with_a_piece_that_has_no_p_value_is_not_shown():
    claims = make(claims=[whole([DIFFERENCE, TUNED | {"task": "class-conditional"}])])
    results = table(
        rows({"dmp": SMALLER, "baseline": BASE}),
        rows({"fine-tuning": [9.0], "baseline": [10.0]}, task="class-conditional"),
    )
    evaluated = evaluate(claims, results)
    assert evaluated["verdict"][1] == "inconclusive"
    summary = summarise(evaluated, claims)
    assert summary["verdict"].tolist() == ["inconclusive"]
    told = "class-conditional: one seed gives neither an interval nor a test"
    assert summary["why"].tolist() == [told]


def test_other_readings_stand_beside_and_decide_nothing():
    logs = np.array([0.001, 0.003, 0.010, 0.015, 0.021, 0.095])
    base = 10 + np.arange(6) / 10
    row = judge(DIFFERENCE, {"dmp": base * np.exp(logs), "baseline": base})
    walsh = [(a + b) / 2 for k, a in enumerate(logs) for b in logs[k:]]
    assert row.hodges_lehmann == pytest.approx(100 * np.expm1(np.median(walsh)))
    assert row.hodges_lehmann_low == pytest.approx(100 * np.expm1(0.001))
    assert row.p_sign_flip == 2 / 64
    assert row.p_t > 0.05
    assert row.skewness == pytest.approx(stats.skew(logs, bias=False))
    # By signs FID is higher; t has seen too little.
    assert row.verdict == "inconclusive"
