from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dmp.claims.evaluate import evaluate
from dmp.claims.evidence import KINDS, Evidence, register_evidence
from dmp.claims.measurement import of_contrast
from dmp.errors import DMPError
from dmp.registry import Registry

BASE = np.array([10.2, 9.9, 10.4, 10.1])
LARGER = BASE + np.array([1.0, 1.2, 0.9, 1.1])
SMALLER = BASE - [1.0, 1.2, 0.9, 1.1]
DIFFERENCE = {
    "test": "difference", "task": "unconditional", "variant": "dmp", "against": "baseline",
    "predicts": "better",
}  # fmt: skip
DIVERGENCE = DIFFERENCE | {"test": "divergence", "predicts": "more"}
ENTROPY = {
    "test": "entropy", "task": "unconditional", "variant": "dmp",
    "predicts": "rises-with-timestep",
}  # fmt: skip
ARITHMETIC = {"test": "arithmetic", "from": "6.26", "to": "5.61", "claimed_percent": "10.38",
              "digits": 2}  # fmt: skip
PARAMETERS = {"test": "parameters", "study": "table1", "backbones": ["B", "L"],
              "claimed": ["1.26", "1.96"]}  # fmt: skip


@pytest.fixture
def judge(make, table, rows):
    """One piece of evidence on arms of FID, or on other rows: its row of the table."""

    def judged(evidence, arms=None, *parts, **fields):
        if arms is not None:
            parts = (rows(arms), *parts)
        return evaluate(make(evidence), table(*parts), **fields).iloc[0]

    return judged


def test_difference_agrees_with_scipy(judge):
    row = judge(DIFFERENCE | {"paper": ["5.87", "6.27"]}, {"dmp": SMALLER, "baseline": BASE})
    oracle = stats.ttest_rel(SMALLER, BASE)
    limits = oracle.confidence_interval()
    assert (row.effect, row.low, row.high) == pytest.approx((-1.05, limits.low, limits.high))
    assert (row.p, row.p_holm) == pytest.approx((oracle.pvalue, oracle.pvalue))
    assert row.relative_effect == pytest.approx(-105 / BASE.mean())
    assert row.paper_effect == pytest.approx(-0.40)
    assert row.paper_relative_effect == pytest.approx(-40 / 6.27)
    assert (row.n, row.unit, row.verdict) == (4, "seed", "supported")
    assert row.paper_excluded
    assert row.reason.startswith("FID is lower by 10.3 %, corrected p < 0.001; ")


@pytest.mark.parametrize(
    ("predicts", "arm", "verdict"),
    [
        ("better", SMALLER, "supported"),
        ("better", LARGER, "contradicted"),
        ("worse", LARGER, "supported"),
        ("worse", SMALLER, "contradicted"),
        ("not-better", SMALLER, "contradicted"),
        ("not-better", LARGER, "supported"),
        ("not-worse", SMALLER, "supported"),
        ("not-worse", LARGER, "contradicted"),
        ("better", BASE + np.array([0.3, -0.4, 0.1, 0.1]), "inconclusive"),
        ("not-better", BASE + np.array([0.03, -0.04, 0.01, 0.01]), "supported"),
        ("not-better", BASE + np.array([0.9, -1.2, 0.3, 0.1]), "inconclusive"),
        # Small, but found: the claim as stated is wrong.
        ("not-better", BASE - [0.10, 0.11, 0.10, 0.11], "contradicted"),
    ],
)
def test_verdict_on_a_difference(judge, predicts, arm, verdict):
    row = judge(DIFFERENCE | {"predicts": predicts}, {"dmp": arm, "baseline": BASE})
    assert row.verdict == verdict


def test_where_more_is_better_signs_turn(make, table, rows):
    for arm, verdict in ((LARGER, "supported"), (SMALLER, "contradicted")):
        for predicts in ("better", "not-worse"):
            claims = make(DIFFERENCE | {"metric": "recall", "predicts": predicts})
            results = table(rows({"dmp": arm, "baseline": BASE}, metric="recall"))
            row = evaluate(claims, results).iloc[0]
            assert (row.metric, row.endpoint, row.verdict) == ("recall", "fid", verdict)


def test_not_better_is_supported_just_where_the_95_percent_interval_excludes_the_margin(judge):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        arm = BASE + rng.normal(0.5, 0.6, size=4)
        row = judge(DIFFERENCE | {"predicts": "not-better"}, {"dmp": arm, "baseline": BASE})
        excludes = row.relative_low > -5
        assert (row.verdict == "supported") == excludes
        seen.add(excludes)
    assert seen == {True, False}


def test_equivalence_agrees_with_two_one_sided_tests(judge):
    evidence = DIFFERENCE | {"test": "equivalence", "margin_percent": 4}
    del evidence["predicts"]
    arm = BASE + np.array([0.1, -0.1, 0.15, 0.05])
    row, margin = judge(evidence, {"dmp": arm, "baseline": BASE}), 0.04 * BASE.mean()
    sides = [
        stats.ttest_1samp(arm - BASE, bound, alternative=side).pvalue
        for bound, side in ((-margin, "greater"), (margin, "less"))
    ]
    assert row.p == pytest.approx(max(sides))
    assert row.verdict == "supported"
    assert judge(evidence, {"dmp": LARGER, "baseline": BASE}).verdict == "contradicted"
    wide = BASE + np.array([0.9, -1.2, 0.3, 0.1])
    assert judge(evidence, {"dmp": wide, "baseline": BASE}).verdict == "inconclusive"


def test_trend_is_the_slope_per_step_and_pages_test_is_told(judge):
    variants = ["baseline", "dmp,depth=1", "dmp,depth=half", "dmp"]
    arms = {v: BASE - 0.5 * k + 0.05 * np.sin(np.arange(4) + k) for k, v in enumerate(variants)}
    evidence = {"test": "trend", "task": "unconditional", "variants": variants,
                "predicts": "better", "paper": ["6.27", "6.13", "5.99", "5.87"]}  # fmt: skip
    row = judge(evidence, arms)
    slopes = np.polyfit(range(4), np.array(list(arms.values())), 1)[0]
    limits = stats.ttest_1samp(slopes, 0).confidence_interval()
    assert (row.effect, row.low, row.high) == pytest.approx((slopes.mean(), *limits))
    assert row.paper_effect == pytest.approx(np.polyfit(range(4), [6.27, 6.13, 5.99, 5.87], 1)[0])
    assert row.paper_relative_effect == pytest.approx(100 * row.paper_effect / 6.27)
    assert row.verdict == "supported"
    # All 4 seeds in the predicted order: 1 of 24^4 assignments of ranks.
    assert stats.page_trend_test(-np.array(list(arms.values())).T).pvalue == pytest.approx(24**-4)
    assert "Page's test of this order: p < 0.001" in row.reason
    assert judge(evidence | {"variants": variants[::-1]}, arms).verdict == "contradicted"


def test_interaction_is_the_difference_of_differences(judge):
    names = ("both", "first", "second", "neither")
    variants = ("dmp", "dmp,load_weight=0", "dmp,importance_weight=0",
                "dmp,importance_weight=0,load_weight=0")  # fmt: skip
    evidence = {"test": "interaction", "task": "unconditional", "predicts": "better",
                "paper": ["5.87", "5.97", "5.96", "6.11"]}  # fmt: skip
    evidence |= dict(zip(names, variants, strict=True))
    rng = np.random.default_rng(1)
    values = rng.normal(10, 0.1, size=(4, 5)) - np.array([[3.0], [1], [1], [0]])
    row = judge(evidence, dict(zip(variants, values, strict=True)))
    each = (values[0] - values[1]) - (values[2] - values[3])
    assert (row.effect, row.p) == pytest.approx((each.mean(), stats.ttest_1samp(each, 0).pvalue))
    assert row.paper_effect == pytest.approx(0.05)
    # Relative to the variant with neither part, and in the paper too.
    assert row.relative_effect == pytest.approx(100 * each.mean() / values[3].mean())
    assert row.paper_relative_effect == pytest.approx(100 * 0.05 / 6.11)
    assert row.verdict == "supported"


def entropies(rows, slopes, variant="dmp", iteration=300, wiggle=0.0):
    bins = [(0, 99), (100, 499), (500, 999)]
    return [
        row | {"iteration": iteration}
        for k, (low, high) in enumerate(bins)
        for row in rows(
            {variant: [1 + s * (low + high) / 2000 + wiggle * (-1) ** k for s in slopes]},
            metric="gate_entropy",
            bin=f"{low}-{high}",
        )
    ]


def test_slope_of_the_entropy_per_1000_timesteps(judge, rows):
    row = judge(ENTROPY, None, entropies(rows, [2.0, 2.5, 3.0]))
    limits = stats.ttest_1samp([2.0, 2.5, 3.0], 0).confidence_interval()
    assert (row.effect, row.low, row.high) == pytest.approx((2.5, *limits))
    assert row.verdict == "supported"
    assert judge(ENTROPY, None, entropies(rows, [-2.0, -2.5, -3.0])).verdict == "contradicted"


def test_slope_of_the_entropy_against_controls(judge, rows):
    permuted = "dmp,gate_timestep=permuted"
    trained = entropies(rows, [2.0, 2.5, 3.0])
    for against, control in (
        (permuted, entropies(rows, [0.1, 0.5, 0.9], permuted)),
        ("untrained", entropies(rows, [0.1, 0.5, 0.9], iteration=0)),
    ):
        row = judge(ENTROPY | {"against": against}, None, trained, control)
        assert (row.effect, row.n, row.against) == (pytest.approx(2.0), 3, against)
    row = judge(ENTROPY | {"against": "untrained"}, None, trained)
    assert (row.verdict, "before training" in row.reason) == ("not tested", True)


def test_bins_of_the_entropy_must_be_ranges_of_their_own(judge, rows):
    double = entropies(rows, [2.0, 2.5])
    for bad, message in (
        (double + double, "seeds 0, 1 stands in more than one row"),
        ([row | {"bin": "low"} for row in double], "bin 'low' is not a range of timesteps"),
    ):
        with pytest.raises(DMPError, match=message):
            judge(ENTROPY, None, bad)
    for few in (double[:-1], double[:2]):
        assert "not there in the same two or more ranges" in judge(ENTROPY, None, few).reason


def test_divergence_agrees_with_fisher_by_hand(judge, rows):
    arms = {"dmp": [1, 1, 1, 1, 1], "baseline": [0] * 5}
    row = judge(DIVERGENCE, None, rows(arms, metric="diverged"))
    # Two tables of the 252 with these margins are as extreme.
    assert row.p == pytest.approx(2 / 252)
    assert (row.effect, row.verdict, row.unit) == (1, "supported", "run")
    # Clopper and Pearson, all of n: (alpha / 2)^(1 / n).
    assert f"5 of 5 [{0.025**0.2:.2f}, 1.00]" in row.reason
    assert 0 < row.low < row.high == 1
    mirrored = {"dmp": [0] * 5, "baseline": [1] * 5}
    assert judge(DIVERGENCE, None, rows(mirrored, metric="diverged")).verdict == "contradicted"
    none = {"dmp": [0] * 5, "baseline": [0] * 5}
    row = judge(DIVERGENCE, None, rows(none, metric="diverged"))
    assert (row.verdict, row.p) == ("inconclusive", 1)


def test_runs_that_are_not_finite_count_as_diverged_and_nowhere_else(judge, rows):
    lost = rows({"dmp": [1, 1, 1]}, metric="diverged")
    kept = rows({"dmp": SMALLER}, metric="diverged")[3:]
    finite = [row for row in rows({"dmp": SMALLER}) if row["seed"] == 3]
    base = rows({"baseline": BASE}) + rows({"baseline": [0] * 4}, metric="diverged")
    kept = [row | {"value": 0.0} for row in kept]
    row = judge(DIFFERENCE, None, lost, kept, finite, base)
    assert row.verdict == "not tested"
    assert pd.isna(row.n)
    assert "not finite in 3 of 4 seeds" in row.reason
    assert judge(DIVERGENCE, None, lost, kept, finite, base).effect == 0.75


def test_gap_is_held_out_minus_training_loss(make, table, rows):
    held_out = {"dmp": [0.30, 0.31, 0.32], "baseline": [0.20, 0.21, 0.22]}
    training = {"dmp": [0.10, 0.12, 0.11], "baseline": [0.18, 0.18, 0.19]}
    claims = make(DIFFERENCE | {"metric": "denoising_gap", "predicts": "worse"})
    results = table(
        rows(held_out, metric="denoising_mse"), rows(training, metric="train_denoising_mse")
    )
    row = evaluate(claims, results).iloc[0]
    gap = {v: np.subtract(held_out[v], training[v]) for v in held_out}
    oracle = stats.ttest_rel(gap["dmp"], gap["baseline"])
    assert (row.p, row.verdict) == (pytest.approx(oracle.pvalue), "supported")
    # A gap has no natural zero, so that no percentage of it makes sense.
    assert np.isnan(row.relative_effect)


@pytest.mark.parametrize(
    ("change", "verdict", "told"),
    [
        ({}, "supported", "10.383 %, rounded 10.38"),
        ({"to": "5.00", "claimed_percent": "20.13"}, "supported", "20.128 %, rounded 20.13"),
        ({"to": "5.00", "claimed_percent": "20.12"}, "supported", "20.128 %, truncated 20.12"),
        ({"to": "5.62", "claimed_percent": "10.23"}, "contradicted", "neither"),
        ({"from": "47.18", "to": "35.44", "claimed_percent": "10.74"}, "contradicted", "24.883 %"),
    ],
)
def test_arithmetic(judge, change, verdict, told):
    row = judge(ARITHMETIC | change, {"dmp": [1.0]})
    assert row.verdict == verdict
    assert told in row.reason
    assert np.isnan(row.p)


def test_parameters(judge):
    counted = pd.DataFrame({"study": "table1", "backbone": ["B", "L", "XL"],
                            "increase_percent": [1.9664, 1.2671, 5.0]})  # fmt: skip
    row = judge(PARAMETERS, {"dmp": [1.0]}, parameters=counted)
    assert (row.verdict, row.reason.count("truncated")) == ("supported", 2)
    more = PARAMETERS | {"backbones": ["B", "XL"]}
    assert judge(more, {"dmp": [1.0]}, parameters=counted).verdict == "contradicted"
    missing = judge(PARAMETERS | {"backbones": ["S"]}, {"dmp": [1.0]}, parameters=counted)
    assert (missing.verdict, missing.reason) == ("not tested", "study table1 has not counted S")
    assert judge(PARAMETERS, {"dmp": [1.0]}).verdict == "not tested"


def timings(ratios):
    return pd.DataFrame(
        [
            {"task": "unconditional", "variant": variant, "stage": "sampling", "repeat": k,
             "seconds": (2 + 0.1 * k) * factor}
            for k, ratio in enumerate(ratios)
            for variant, factor in (("dmp", ratio), ("baseline", 1.0))
        ]
    )  # fmt: skip


def test_speed_is_the_ratio_of_paired_repeats(judge):
    evidence = DIFFERENCE | {"test": "speed", "stage": "sampling", "margin_percent": 5}
    del evidence["predicts"]
    ratios = [1.01, 1.02, 1.00, 1.03]
    row = judge(evidence, {"dmp": [1.0]}, speed=timings(ratios))
    limits = stats.ttest_1samp(np.log(ratios), 0).confidence_interval()
    assert row.relative_effect == pytest.approx(100 * (stats.gmean(ratios) - 1))
    assert (row.relative_low, row.relative_high) == pytest.approx(
        tuple(100 * np.expm1(limit) for limit in limits)
    )
    assert (row.verdict, row.unit) == ("supported", "repeat")
    slow = judge(evidence, {"dmp": [1.0]}, speed=timings([1.2, 1.21, 1.19]))
    assert slow.verdict == "contradicted"
    fast = judge(evidence, {"dmp": [1.0]}, speed=timings([0.8, 0.81, 0.79]))
    assert fast.verdict == "supported"
    assert judge(evidence, {"dmp": [1.0]}).reason == "no timings were taken"
    with pytest.raises(DMPError, match="repeat is listed twice"):
        judge(evidence, {"dmp": [1.0]}, speed=pd.concat([timings([1.0, 1.1])] * 2))
    with pytest.raises(DMPError, match="above 0"):
        judge(evidence, {"dmp": [1.0]}, speed=timings([1.0, 0.0]))


def test_a_kind_from_outside_is_judged_by_its_name(judge, monkeypatch):
    # As another package's module does, which an entry point of the group dmp.evidence names.
    monkeypatch.setattr(KINDS, "_found", dict(KINDS._found))

    @register_evidence("below")
    class Below(Evidence):
        task: str
        variant: str
        bound: float

        def runs(self):
            return [(self.task, self.variant)]

        def metrics(self, endpoints):
            return [(endpoints[0], endpoints[0])]

        def measure(self, numbers):
            found = numbers.aligned(self.task, [self.variant]).contrast([1])
            bounds = found.p_below(self.bound), found.p_above(self.bound)
            return of_contrast(found, numbers.metric, *bounds)

        def compared(self):
            return {"task": self.task, "variant": self.variant}

        def prediction(self):
            return f"below {self.bound:g}"

    given = {"test": "below", "task": "unconditional", "variant": "dmp", "bound": 11.0}
    row = judge(given, {"dmp": BASE})
    assert row.p == pytest.approx(stats.ttest_1samp(BASE, 11, alternative="less").pvalue)
    assert (row.test, row.predicts, row.verdict) == ("below", "below 11", "supported")
    with pytest.raises(DMPError, match="unknown key 'bond': did you mean 'bound'"):
        judge(given | {"bond": 3}, {"dmp": BASE})


def test_entry_points_name_the_modules_of_other_packages(monkeypatch):
    kinds = Registry("dmp.claims.kinds", "some.group")
    point = EntryPoint("theirs", "some_package.kind", "some.group")
    monkeypatch.setattr("dmp.registry.entry_points", lambda **_: EntryPoints([point]))
    monkeypatch.setattr(EntryPoint, "load", lambda self: kinds.register("theirs")("a kind"))
    assert {"theirs", "difference"} <= set(kinds.names())
    assert kinds.get("theirs", "test") == "a kind"
    with pytest.raises(DMPError, match="test = 'there': did you mean 'theirs'"):
        kinds.get("there", "test")


def test_untested_says_why(judge):
    row = judge({"test": "untested", "reason": "needs people"}, {"dmp": [1.0]})
    assert (row.verdict, row.reason) == ("not tested", "needs people")
