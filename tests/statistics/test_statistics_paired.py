import itertools
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.paired import paired_difference

A = np.array([5.87, 5.61, 6.02, 5.95, 5.70])
B = np.array([6.27, 6.26, 6.10, 6.43, 6.05])

values = st.floats(-100, 100).map(lambda x: round(x, 3))
pairs = st.lists(st.tuples(values, values), min_size=3, max_size=7)


def compare(a, b, **options):
    return paired_difference(a, b, resamples=199, **options)


def bca_over_all_resamples(x, level=0.95):
    """BCa limits (Efron 1987) from all n^n resamples instead of random ones."""
    n = len(x)
    means = np.array([np.sort(r).mean() for r in itertools.product(x, repeat=n)])
    close = np.isclose(means, x.mean(), rtol=1e-12)
    share = (np.sum((means < x.mean()) & ~close) + close.sum() / 2) / len(means)
    z0 = stats.norm.ppf(share)
    jackknife = np.array([np.delete(x, i).mean() for i in range(n)])
    centred = jackknife.mean() - jackknife
    a = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    z = z0 + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    return np.quantile(means, stats.norm.cdf(z0 + z / (1 - a * z)))


def test_t_test_and_interval_agree_with_scipy():
    difference = paired_difference(A, B, level=0.9)
    oracle = stats.ttest_rel(A, B)
    limits = oracle.confidence_interval(0.9)
    assert difference.p_t == pytest.approx(oracle.pvalue, rel=1e-10)
    assert (difference.t_low, difference.t_high) == pytest.approx((limits.low, limits.high))
    assert difference.mean == pytest.approx(difference.mean_a - difference.mean_b)
    assert (difference.mean_a, difference.mean_b) == pytest.approx((A.mean(), B.mean()))


@pytest.mark.parametrize("differences", [B - A, np.array([0.0, 0, 0, 1, 9]), np.arange(4.0) ** 2])
def test_bootstrap_interval_agrees_with_all_resamples(differences):
    difference = paired_difference(differences, np.zeros(len(differences)), resamples=49_999)
    low, high = bca_over_all_resamples(differences)
    tolerance = 0.02 * (high - low)
    assert difference.boot_low == pytest.approx(low, abs=tolerance)
    assert difference.boot_high == pytest.approx(high, abs=tolerance)


def test_bootstrap_draws_the_same_resamples_as_ever():
    """Committed tables hold the limits."""
    difference = compare(A, B)
    limits = difference.boot_low, difference.boot_high
    assert limits == pytest.approx((-0.5463530939032442, -0.21167278068828946), rel=1e-12)


def test_effect_size_uses_the_published_correction():
    # Hedges (1981), Table 1: J(4) = 0.7979, J(2) = 0.5642.
    for n, correction in ((5, 0.7979), (3, 0.5642)):
        d = (A - B)[:n]
        effect = compare(A[:n], B[:n]).effect_size
        assert effect / (d.mean() / d.std(ddof=1)) == pytest.approx(correction, abs=5e-5)


@pytest.mark.filterwarnings("error")
def test_arms_that_do_the_same_differ_by_nothing():
    difference = paired_difference(B, B)
    zero = {"mean", "t_low", "t_high", "boot_low", "boot_high", "effect_size", "detectable", "sd"}
    assert {name: getattr(difference, name) for name in zero} == dict.fromkeys(zero, 0.0)
    assert (difference.p_t, difference.p_exact) == (1.0, 1.0)


@pytest.mark.filterwarnings("error")
def test_constant_difference_takes_the_limits_for_no_spread():
    b = np.array([0.3, 1.7, 6.1, 13.0, 27.4])
    assert np.ptp(b - 0.1 - b) > 0
    difference = paired_difference(b - 0.1, b)
    assert difference.sd == 0
    assert difference.t_low == difference.mean == difference.boot_high == pytest.approx(-0.1)
    assert (difference.p_t, difference.p_exact, difference.detectable) == (0.0, 2 / 32, 0.0)
    assert difference.effect_size == -np.inf


@pytest.mark.filterwarnings("error")
def test_one_unit_has_a_difference_and_nothing_else():
    difference = asdict(paired_difference([2.0], [5.0]))
    numbers = {"mean": -3.0, "mean_a": 2.0, "mean_b": 5.0, "p_exact": 1.0, "n": 1}
    assert {name: difference.pop(name) for name in numbers} == numbers
    assert np.isnan(list(difference.values())).all()


def test_several_baselines_are_the_units():
    clustered = compare([1, 3, 5, 9, 2, 4], [0, 0, 0, 0, 0, 0], clusters=[0, 0, 1, 1, 2, 2])
    assert clustered == compare([2, 7, 3], [0, 0, 0])
    assert clustered.n == 3


@settings(max_examples=30, deadline=None)
@given(pairs)
def test_swapping_arms_mirrors_every_number_to_the_last_bit(drawn):
    a, b = np.array(drawn).T
    assume(np.sort(a - b).mean() != 0)
    there, back = asdict(compare(a, b)), asdict(compare(b, a))
    for name in ("mean", "effect_size"):
        assert back[name] == -there[name]
    for interval in ("t", "boot"):
        assert back[f"{interval}_low"] == -there[f"{interval}_high"]
    for name in ("p_t", "p_exact", "sd", "detectable", "n"):
        assert back[name] == there[name]
    assert (back["mean_a"], back["mean_b"]) == (there["mean_b"], there["mean_a"])


@settings(max_examples=30, deadline=None)
@given(drawn=pairs, data=st.data())
def test_order_of_seeds_changes_no_bit(drawn, data):
    a, b = np.array(drawn).T
    order = data.draw(st.permutations(range(len(a))))
    assert compare(a[order], b[order]) == compare(a, b)


@settings(max_examples=30, deadline=None)
@given(drawn=pairs, shift=st.integers(-50, 50), power=st.integers(-8, 8))
def test_shift_of_both_arms_changes_nothing_and_scale_scales(drawn, shift, power):
    a, b = np.array(drawn).T
    # A shift by an integer and a scale by a power of two leave next to no rounding behind.
    assume(np.ptp(a - b) > 1e-2)
    factor = 2.0**power
    before, after = (
        asdict(compare(a, b)),
        asdict(compare(factor * (a + shift), factor * (b + shift))),
    )
    for name in ("mean", "t_low", "t_high", "boot_low", "boot_high", "sd", "detectable"):
        assert after[name] == pytest.approx(factor * before[name], rel=1e-7, abs=factor * 1e-7)
    for name in ("p_t", "effect_size"):
        assert after[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9)
    # A shift can change the last bit of a difference and so break a tie between assignments.
    assert compare(factor * a, factor * b).p_exact == before["p_exact"]


@pytest.mark.filterwarnings("error")
@settings(max_examples=30, deadline=None)
@given(pairs)
def test_bootstrap_interval_always_exists_and_lies_within_the_data(drawn):
    a, b = np.array(drawn).T
    difference = compare(a, b)
    slack = 1e-7 * max(1, np.ptp(a - b))
    assert min(a - b) - slack <= difference.boot_low <= difference.boot_high
    assert difference.boot_high <= max(a - b) + slack


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2], [1], "a has 2 values and b has 1"),
        ([], [], "non-empty"),
        ([1, float("nan")], [1, 2], "finite"),
    ],
)
def test_arms_that_do_not_pair_are_refused(a, b, message):
    with pytest.raises(DMPError, match=message):
        paired_difference(a, b)
