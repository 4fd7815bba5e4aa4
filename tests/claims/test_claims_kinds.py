from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from claim_examples import BASE, DIFFERENCE, EQUIVALENCE, LARGER, SMALLER, judge, rows
from scipy import stats

from dmp.claims.measurement import Effect

WIDE = BASE + np.array([0.9, -1.2, 0.3, 0.1])
LOG = np.log1p(0.01)
DIVERGENCE = DIFFERENCE | {"test": "divergence", "predicts": "more"}
OWN = {"reason": "r"}


def times(percents):
    """The baseline, seed by seed so many percent higher."""
    return BASE * (1 + np.array(percents) / 100)


def test_difference_is_the_mean_log_ratio_and_agrees_with_scipy():
    row = judge(DIFFERENCE | {"paper": ["5.87", "6.27"]}, {"dmp": SMALLER, "baseline": BASE})
    logs = np.log(SMALLER / BASE)
    limits = stats.ttest_1samp(logs, 0).confidence_interval()
    percent = tuple(100 * np.expm1([logs.mean(), limits.low, limits.high]))
    assert (row.effect, row.low, row.high) == pytest.approx(percent)
    for p, bound, side in (
        (row.p_for, 0, "less"),
        (row.p_against, -LOG, "greater"),
        (row.p_t / 2, 0, "less"),
    ):
        assert p == pytest.approx(stats.ttest_1samp(logs, bound, alternative=side).pvalue)
    assert row.p_for_holm == row.p_for
    assert row.paper_effect == pytest.approx(100 * (5.87 / 6.27 - 1))
    assert (row.n, row.unit, row.verdict, row.relevant) == (4, "seed", "supported", 1)
    assert row.percent_of == "FID"
    assert row.paper_excluded
    assert row.reason.startswith("FID is lower by 10.4 %, corrected p < 0.001; ")


@pytest.mark.parametrize(
    ("predicts", "percents", "verdict", "finding"),
    [
        ("better", [-9, -11, -8, -10], "supported", ""),
        ("better", [9, 11, 8, 10], "contradicted", "the opposite"),
        ("worse", [9, 11, 8, 10], "supported", ""),
        ("worse", [-9, -11, -8, -10], "contradicted", "the opposite"),
        # Nothing is shown, and a relevant effect is excluded.
        ("better", [0.05, -0.1, 0.1, -0.05], "contradicted", "no relevant effect"),
        ("worse", [0.05, -0.1, 0.1, -0.05], "contradicted", "no relevant effect"),
        # The direction is shown, and a relevant effect excluded: the latter goes first.
        ("better", [-0.1, -0.11, -0.1, -0.12], "contradicted", "no relevant effect"),
        # The opposite is shown, and is not relevant either.
        ("better", [0.1, 0.11, 0.1, 0.12], "contradicted", "no relevant effect"),
        ("better", [3, -4, 1, 1], "inconclusive", ""),
        ("not-better", [0.05, -0.1, 0.1, -0.05], "supported", ""),
        ("not-better", [9, 11, 8, 10], "supported", ""),
        # An improvement that is found and not relevant is none.
        ("not-better", [-0.1, -0.11, -0.1, -0.12], "supported", ""),
        ("not-better", [-9, -11, -8, -10], "contradicted", "the claim is refuted"),
        ("not-better", [-1.1, -0.9, -1.0, -1.2], "inconclusive", ""),
        ("not-worse", [-9, -11, -8, -10], "supported", ""),
        ("not-worse", [0.4, 0.41, 0.4, 0.42], "supported", ""),
        ("not-worse", [9, 11, 8, 10], "contradicted", "the claim is refuted"),
        ("not-worse", [9, -12, 3, 1], "inconclusive", ""),
    ],
)
def test_verdict_on_a_difference(predicts, percents, verdict, finding):
    row = judge(DIFFERENCE | {"predicts": predicts}, {"dmp": times(percents), "baseline": BASE})
    assert (row.verdict, row.finding) == (verdict, finding)


def test_words_of_a_difference_say_what_was_excluded():
    for percents, told in (
        ([0.05, -0.1, 0.1, -0.05], "no relevant effect: an improvement by 1 % is excluded, c"),
        ([-0.1, -0.11, -0.1, -0.12],
         "no relevant effect: an improvement by 1 % is excluded, though FID is lower by 0.108 %"),
        ([9, 11, 8, 10], "FID is higher by 9.49 %, corrected"),
    ):  # fmt: skip
        assert judge(DIFFERENCE, {"dmp": times(percents), "baseline": BASE}).reason.startswith(told)
    row = judge(DIFFERENCE | {"predicts": "not-worse"}, {"dmp": LARGER, "baseline": BASE})
    assert "and a decline by more than 1 % is shown" in row.reason


def test_a_margin_of_its_own_takes_the_place_of_that_of_the_metric():
    arms = {"dmp": times([2, 2.1, 1.9, 2]), "baseline": BASE}
    evidence = DIFFERENCE | {"predicts": "not-worse"}
    assert judge(evidence, arms).verdict == "contradicted"
    row = judge(evidence | {"relevant_percent": 5} | OWN, arms)
    assert (row.verdict, row.relevant) == ("supported", 5)
    assert row.reason.startswith("a decline by 5 % is excluded")


def test_where_more_is_better_signs_turn():
    for arm, verdict in ((LARGER, "supported"), (SMALLER, "contradicted")):
        for predicts in ("better", "not-worse"):
            evidence = DIFFERENCE | {"metric": "recall", "predicts": predicts}
            row = judge(evidence, None, rows({"dmp": arm, "baseline": BASE}, metric="recall"))
            assert (row.metric, row.endpoint, row.verdict) == ("recall", "fid", verdict)


def test_not_better_is_supported_just_where_the_95_percent_interval_excludes_the_margin():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        arm = BASE * np.exp(rng.normal(0.01, 0.015, size=4))
        row = judge(DIFFERENCE | {"predicts": "not-better"}, {"dmp": arm, "baseline": BASE})
        excludes = row.low > 100 * np.expm1(-LOG)
        assert (row.verdict == "supported") == excludes
        seen.add(excludes)
    assert seen == {True, False}


def test_equivalence_agrees_with_two_one_sided_tests():
    arm = times([0.1, -0.1, 0.15, 0.05])
    row, logs = judge(EQUIVALENCE, {"dmp": arm, "baseline": BASE}), np.log(arm / BASE)
    sides = [
        stats.ttest_1samp(logs, bound, alternative=side).pvalue
        for bound, side in ((-LOG, "greater"), (LOG, "less"))
    ]
    assert row.p_for == pytest.approx(max(sides))
    outside = [1 - side for side in sides]
    assert row.p_against == pytest.approx(min(1, 2 * min(outside)))
    assert row.verdict == "supported"
    for other, verdict in ((LARGER, "contradicted"), (SMALLER, "contradicted"),
                           (WIDE, "inconclusive")):  # fmt: skip
        assert judge(EQUIVALENCE, {"dmp": other, "baseline": BASE}).verdict == verdict


def test_what_may_be_zero_is_compared_as_a_share_of_the_mean():
    dmp, base = np.array([0.5, -0.1, 0.3, 0.2]), np.array([2.0, 2.4, 1.9, 2.2])
    row = judge(DIFFERENCE, {"dmp": dmp, "baseline": base})
    assert row.effect == pytest.approx(100 * (dmp.mean() / base.mean() - 1))
    assert row.percent_of == "FID of baseline"
    # Fieller's limits are where the exact test of a - (1 + b) times the other turns.
    for limit in (row.low, row.high):
        p = stats.ttest_1samp(dmp - (1 + limit / 100) * base, 0).pvalue
        assert p == pytest.approx(0.05)
    shown = stats.ttest_1samp(dmp - base, 0, alternative="less").pvalue
    assert (row.p_for, row.verdict) == (pytest.approx(shown), "supported")
    none = judge(DIFFERENCE, {"dmp": base, "baseline": -base})
    assert (none.verdict, "is not positive on average" in none.reason) == ("not tested", True)


def test_an_effect_in_standard_deviations_is_a_factor_or_a_share():
    found = SimpleNamespace(sd=0.02)
    assert Effect(found, "FID", log=True).standardised(-10) == pytest.approx(np.log(0.9) / 0.02)
    assert Effect(found, "N prompts").standardised(-10) == pytest.approx(-5)


def test_trend_is_the_line_from_first_to_last_and_pages_test_is_told():
    variants = ["baseline", "dmp,depth=1", "dmp,depth=half", "dmp"]
    arms = {v: BASE - 0.5 * k + 0.05 * np.sin(np.arange(4) + k) for k, v in enumerate(variants)}
    evidence = {"test": "trend", "task": "unconditional", "variants": variants,
                "predicts": "better", "paper": ["6.27", "6.13", "5.99", "5.87"]}  # fmt: skip
    row = judge(evidence, arms)
    lines = 3 * np.polyfit(range(4), np.log(list(arms.values())), 1)[0]
    limits = stats.ttest_1samp(lines, 0).confidence_interval()
    percent = tuple(100 * np.expm1([lines.mean(), *limits]))
    assert (row.effect, row.low, row.high) == pytest.approx(percent)
    papers = 3 * np.polyfit(range(4), np.log([6.27, 6.13, 5.99, 5.87]), 1)[0]
    assert row.paper_effect == pytest.approx(100 * np.expm1(papers))
    assert row.verdict == "supported"
    # All 4 seeds in the predicted order: 1 of 24^4 assignments of ranks.
    assert stats.page_trend_test(-np.array(list(arms.values())).T).pvalue == pytest.approx(24**-4)
    assert "Page's test of this order: p < 0.001" in row.reason
    assert judge(evidence | {"variants": variants[::-1]}, arms).verdict == "contradicted"


def test_interaction_is_the_ratio_of_ratios():
    names = ("both", "first", "second", "neither")
    variants = ("dmp", "dmp,load_weight=0", "dmp,importance_weight=0",
                "dmp,importance_weight=0,load_weight=0")  # fmt: skip
    evidence = {"test": "interaction", "task": "unconditional", "predicts": "better",
                "paper": ["5.87", "5.97", "5.96", "6.11"]}  # fmt: skip
    evidence |= dict(zip(names, variants, strict=True))
    rng = np.random.default_rng(1)
    values = rng.normal(10, 0.1, size=(4, 5)) - np.array([[3.0], [1], [1], [0]])
    row = judge(evidence, dict(zip(variants, values, strict=True)))
    each = np.log(values[0] / values[1]) - np.log(values[2] / values[3])
    assert row.effect == pytest.approx(100 * np.expm1(each.mean()))
    assert row.p_for == pytest.approx(stats.ttest_1samp(each, 0, alternative="less").pvalue)
    assert row.paper_effect == pytest.approx(100 * (5.87 * 6.11 / 5.97 / 5.96 - 1))
    assert row.verdict == "supported"

    # Of what may be negative it is a share of what there is without either part.
    values[0] -= 10
    row = judge(evidence, dict(zip(variants, values, strict=True)))
    each = values[0] - values[1] - values[2] + values[3]
    assert row.effect == pytest.approx(100 * each.mean() / values[3].mean())


def test_divergence_agrees_with_fisher_by_hand():
    arms = {"dmp": [1, 1, 1, 1, 1], "baseline": [0] * 5}
    row = judge(DIVERGENCE, None, rows(arms, metric="diverged"))
    # One table of the 252 with these margins is as extreme in this direction.
    assert row.p_for == pytest.approx(1 / 252)
    assert (row.effect, row.verdict, row.unit) == (100, "supported", "run")
    # Clopper and Pearson, all of n: (alpha / 2)^(1 / n).
    assert f"5 of 5 [{0.025**0.2:.2f}, 1.00]" in row.reason
    assert 0 < row.low < row.high == 100
    mirrored = {"dmp": [0] * 20, "baseline": [1] * 20}
    row = judge(DIVERGENCE, None, rows(mirrored, metric="diverged"))
    assert (row.verdict, row.finding) == ("contradicted", "the opposite")


@pytest.mark.parametrize(("n", "verdict"), [(36, "contradicted"), (34, "inconclusive")])
def test_none_of_36_excludes_that_a_tenth_more_diverge(n, verdict):
    none = {"dmp": [0] * n, "baseline": [0] * n}
    row = judge(DIVERGENCE, None, rows(none, metric="diverged"))
    assert row.p_against == pytest.approx(0.9**n / 0.99, rel=1e-6)
    assert (row.verdict, row.p_for) == (verdict, 1)
    if verdict == "contradicted":
        assert row.finding == "no relevant effect"
        assert "divergence of 10 % more runs is excluded" in row.reason


def test_runs_that_are_not_finite_count_as_diverged_and_nowhere_else():
    lost = rows({"dmp": [1, 1, 1]}, metric="diverged")
    kept = rows({"dmp": SMALLER}, metric="diverged")[3:]
    finite = [row for row in rows({"dmp": SMALLER}) if row["seed"] == 3]
    base = rows({"baseline": BASE}) + rows({"baseline": [0] * 4}, metric="diverged")
    kept = [row | {"value": 0.0} for row in kept]
    row = judge(DIFFERENCE, None, lost, kept, finite, base)
    assert row.verdict == "not tested"
    assert pd.isna(row.n)
    assert "not finite in 3 of 4 seeds" in row.reason
    assert judge(DIVERGENCE, None, lost, kept, finite, base).effect == 75


def test_gap_is_in_percent_of_the_held_out_loss_it_is_part_of():
    held_out = {"dmp": [0.30, 0.31, 0.32], "baseline": [0.20, 0.21, 0.22]}
    training = {"dmp": [0.10, 0.12, 0.11], "baseline": [0.18, 0.18, 0.19]}
    losses = rows(held_out, metric="denoising_mse") + rows(training, metric="train_denoising_mse")
    row = judge(DIFFERENCE | {"metric": "denoising_gap", "predicts": "worse"}, None, losses)
    gap = {v: np.subtract(held_out[v], training[v]) for v in held_out}
    shares = (gap["dmp"] - gap["baseline"]) / held_out["baseline"]
    oracle = stats.ttest_1samp(shares, 0, alternative="greater").pvalue
    assert (row.p_for, row.verdict) == (pytest.approx(oracle), "supported")
    assert row.effect == pytest.approx(100 * shares.mean())
    assert row.percent_of == "Denoising MSE of baseline"
