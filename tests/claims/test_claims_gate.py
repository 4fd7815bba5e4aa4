import numpy as np
import pytest
from claim_examples import judge, rows
from scipy import stats

from dmp.errors import DMPError

ENTROPY = {
    "test": "entropy", "task": "unconditional", "variant": "dmp",
    "predicts": "rises-with-timestep",
}  # fmt: skip
SHARE = {
    "test": "share-of-gain", "task": "unconditional", "variant": "dmp",
    "against": "prompt-tuning", "gain_of": "prompt-tuning", "gain_over": "baseline",
    "metric": "denoising_mse", "relevant_percent": 5, "reason": "r",
}  # fmt: skip


def used(slopes, variant="dmp", iteration=300, level=0.9):
    """Prompts used, as a share of N, on a line over the timesteps of so much per 1000."""
    bins = [(0, 99), (100, 499), (500, 999)]
    return [
        row | {"iteration": iteration}
        for low, high in bins
        for row in rows(
            {variant: [level + s * (low + high) / 2000 for s in slopes]},
            metric="prompts_used",
            bin=f"{low}-{high}",
        )
    ]


def test_slope_of_the_prompts_used_in_percent_of_n_per_1000_timesteps():
    slopes = [0.02, 0.025, 0.03]
    row = judge(ENTROPY, None, used(slopes))
    limits = stats.ttest_1samp(slopes, 0).confidence_interval()
    assert (row.effect, row.low, row.high) == pytest.approx((2.5, *(100 * x for x in limits)))
    assert (row.verdict, row.predicts) == ("supported", "rises with the timestep")
    assert "higher than 0: 2.50 % of N prompts per 1000 timesteps" in row.reason
    falling = judge(ENTROPY, None, used([-0.02, -0.025, -0.03]))
    assert (falling.verdict, falling.finding) == ("contradicted", "the opposite")
    assert "the slope is lower than 0: 2.50 % of N prompts" in falling.reason


def test_a_slope_that_is_there_and_empty_is_contradicted():
    # 0.005 % of N prompts, always: what a referee called significant and empty.
    row = judge(ENTROPY, None, used([4.9e-5, 5.0e-5, 5.1e-5], level=0.9998))
    assert (row.verdict, row.finding) == ("contradicted", "no relevant effect")
    assert row.p_for < 0.025
    assert "a rise by 1 % of N prompts per 1000 timesteps is excluded, though" in row.reason


def test_slope_of_the_prompts_used_against_controls():
    permuted = "dmp,gate_timestep=permuted"
    trained = used([0.020, 0.025, 0.030])
    for against, control in (
        (permuted, used([0.001, 0.005, 0.009], permuted)),
        ("untrained", used([0.001, 0.005, 0.009], iteration=0)),
    ):
        row = judge(ENTROPY | {"against": against}, None, trained, control)
        assert (row.effect, row.n, row.against) == (pytest.approx(2.0), 3, against)
    row = judge(ENTROPY | {"against": "untrained"}, None, trained)
    assert (row.verdict, "before training" in row.reason) == ("not tested", True)


def test_bins_of_the_gate_must_be_ranges_of_their_own():
    double = used([0.02, 0.025])
    for bad, message in (
        (double + double, "seeds 0, 1 stands in more than one row"),
        ([row | {"bin": "low"} for row in double], "bin 'low' is not a range of timesteps"),
    ):
        with pytest.raises(DMPError, match=message):
            judge(ENTROPY, None, bad)
    for few in (double[:-1], double[:2]):
        assert "not there in the same two or more ranges" in judge(ENTROPY, None, few).reason


def test_a_bound_on_the_prompts_used_must_hold_in_every_range():
    bound = {"test": "prompts-used", "task": "unconditional", "variant": "dmp",
             "predicts": "above", "bound_percent": 99.5}  # fmt: skip
    flat = [1e-4, 2e-4, 0.0]
    row = judge(bound, None, used(flat, level=0.9997))
    assert row.verdict == "supported"
    first = np.array([0.9997 + s * 99 / 2000 for s in flat])
    assert row.effect == pytest.approx(100 * first.mean())
    p_values = [
        stats.ttest_1samp([0.9997 + s * middle / 1000 for s in flat], 0.995, alternative="greater")
        for middle in (49.5, 299.5, 749.5)
    ]
    assert row.p_for == pytest.approx(max(found.pvalue for found in p_values))
    # One range of three is below: 0.993 at t = 49.5, and rises beyond the bound.
    sloped = judge(bound, None, used([0.0080, 0.0081, 0.0079], level=0.9926))
    assert (sloped.verdict, sloped.finding) == ("contradicted", "the claim is refuted")
    assert "about t = 50" in sloped.reason
    assert "exp(entropy) is below 99.5 % of N" in sloped.reason
    # Ranges on both sides of a bound refute it in either direction.
    below = bound | {"predicts": "below"}
    assert judge(below, None, used([0.008, 0.0081, 0.0079], level=0.9926)).verdict == (
        "contradicted"
    )
    assert judge(below, None, used(flat, level=0.93)).verdict == "supported"


def gains(difference, gain=-0.0020):
    """Losses: a baseline, what prompt tuning gains over it, and DMP with a difference to that."""
    base = np.array([0.150, 0.152, 0.149, 0.151])
    tuned = base + gain * np.array([1.0, 1.1, 0.9, 1.0])
    arms = {"baseline": base, "prompt-tuning": tuned, "dmp": tuned + np.array(difference)}
    return rows(arms, metric="denoising_mse"), arms


def test_share_of_gain_takes_no_gain_as_known():
    results, arms = gains([1e-5, 2e-5, -1e-5, 0])
    row = judge(SHARE, None, results)
    d, g = arms["dmp"] - arms["prompt-tuning"], arms["baseline"] - arms["prompt-tuning"]
    sides = [
        stats.ttest_1samp(d - 0.05 * g, 0, alternative="less").pvalue,
        stats.ttest_1samp(d + 0.05 * g, 0, alternative="greater").pvalue,
    ]
    assert row.p_for == pytest.approx(max(sides), rel=1e-6)
    assert row.effect == pytest.approx(100 * d.mean() / g.mean())
    assert row.verdict == "supported"
    told = "a difference of 5 % of the gain of prompt-tuning over baseline in Denoising MSE is excl"
    assert row.reason.startswith(told)
    for limit in (row.low, row.high):
        assert stats.ttest_1samp(d - limit / 100 * g, 0).pvalue == pytest.approx(0.05, rel=1e-6)
    far, _ = gains([5e-4, 5.2e-4, 5e-4, 4.9e-4])
    assert judge(SHARE, None, far).verdict == "contradicted"
    # Without a gain there is nothing to be a share of.
    none = judge(SHARE, None, gains([0, 1e-5, 0, 0], gain=0.002)[0])
    assert (none.verdict, "there is no gain of prompt-tuning" in none.reason) == (
        "not tested",
        True,
    )
