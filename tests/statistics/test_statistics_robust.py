import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dmp.statistics.robust import LARGEST_EXACT, hodges_lehmann, sign_flip_p, skewness

SKEWED = np.array([0.04, 0.12, 0.42, 0.62, 0.84, 3.79])


def enumerated_p(differences):
    """The sign-flip p value by listing every assignment, in exact integers."""
    observed = abs(sum(differences))
    signs = list(itertools.product((-1, 1), repeat=len(differences)))
    sums = [abs(sum(s * d for s, d in zip(sign, differences, strict=True))) for sign in signs]
    return sum(total >= observed for total in sums) / len(signs)


@pytest.mark.parametrize(
    "differences",
    [[3, 1], [1, 2, 3], [-1, 2, 3, 5], [1, 1, -1, 1, 1], [4, -3, 7, 2, 6, -1], [0, 0, 5], [-2] * 7,
     [1, -1], [0, 0, 0], [5, -3, -2, 4, -4]],
)  # fmt: skip
def test_sign_flip_p_agrees_with_enumeration_by_hand(differences):
    assert sign_flip_p(differences) == enumerated_p(differences)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-100, 100).map(lambda x: round(x, 2)), min_size=2, max_size=9))
def test_sign_flip_p_agrees_with_scipy(differences):
    oracle = stats.permutation_test(
        (np.array(differences),), lambda x, axis: np.mean(x, axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=2 ** len(differences),
    )  # fmt: skip
    # In hundredths a sum is exact, and a tie is one.
    exact = sign_flip_p(np.round(np.array(differences) * 100))
    assert exact == pytest.approx(oracle.pvalue, abs=1e-12)
    assert sign_flip_p(differences) == exact


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 21, LARGEST_EXACT])
def test_smallest_sign_flip_p_is_two_over_two_to_the_n(n):
    assert sign_flip_p(np.linspace(1, 2, n)) == 2 / 2**n


def test_counting_twenty_differences_takes_milliseconds():
    differences = np.random.default_rng(3).normal(0.4, 1, size=20)
    started = time.process_time()
    p = sign_flip_p(differences)
    assert time.process_time() - started < 0.1  # listing all took 2.8 s
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.02)


def test_sign_flip_p_of_many_units_is_estimated():
    differences = np.random.default_rng(0).normal(0.25, 1, size=LARGEST_EXACT + 1)
    counted, estimated = sign_flip_p(differences[:-1]), sign_flip_p(differences)
    assert estimated == sign_flip_p(differences)
    for n, p in ((LARGEST_EXACT, counted), (LARGEST_EXACT + 1, estimated)):
        assert p == pytest.approx(stats.ttest_1samp(differences[:n], 0).pvalue, abs=0.01)


def test_sign_flip_test_keeps_its_level():
    rng = np.random.default_rng(2)
    p_values = [sign_flip_p(draw) for draw in rng.laplace(size=(800, 6))]
    assert np.mean(np.array(p_values) <= 2 / 64) == pytest.approx(2 / 64, abs=0.015)


@pytest.mark.parametrize("n", [6, 9, 14])
def test_hodges_lehmann_limits_are_where_wilcoxons_test_turns(n):
    draw = np.random.default_rng(n).lognormal(size=n)
    centre, low, high = hodges_lehmann(draw)
    walsh = [(a + b) / 2 for k, a in enumerate(draw) for b in draw[k:]]
    assert centre == pytest.approx(np.median(walsh))
    for limit, inwards in ((low, 1e-9), (high, -1e-9)):
        inside = stats.wilcoxon(draw - limit - inwards, method="exact").pvalue
        outside = stats.wilcoxon(draw - limit + inwards, method="exact").pvalue
        assert outside <= 0.05 < inside


def test_hodges_lehmann_has_no_interval_where_none_has_the_level():
    centre, low, high = hodges_lehmann([1.0, 2.0, 4.0, 5.0, 3.0])
    assert (centre, np.isnan(low), np.isnan(high)) == (3.0, True, True)
    assert hodges_lehmann([7.0])[0] == 7.0


def test_hodges_lehmann_covers_where_differences_are_heavy_tailed():
    rng = np.random.default_rng(4)
    limits = [hodges_lehmann(draw)[1:] for draw in rng.standard_t(2, size=(600, 8))]
    covered = sum(low <= 0 <= high for low, high in limits)
    assert stats.binomtest(covered, 600, 0.95, alternative="less").pvalue > 1e-3


def test_an_outlier_moves_the_mean_and_not_the_median_of_averages():
    assert hodges_lehmann(SKEWED)[0] < SKEWED.mean() - 0.2
    assert skewness(SKEWED) > 1
    assert np.isnan([skewness([1.0, 2.0]), skewness([3.0] * 4)]).all()
    assert skewness([-2.0, -1.0, 0.0, 1.0, 2.0]) == 0
