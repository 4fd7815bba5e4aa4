import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.statistics.convergence import convergence


def score(fids):
    return sum(np.sign(later - earlier) for earlier, later in itertools.combinations(fids, 2))


def enumerated_p(fids):
    """Share of all orders of the FIDs that fall at least as steadily as the observed one."""
    scores = [score(order) for order in itertools.permutations(fids)]
    return np.mean(np.array(scores) <= score(fids))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=4, max_size=6))
def test_p_value_agrees_with_enumeration_ties_included(fids):
    assert convergence(fids, 0.05).p_value == pytest.approx(enumerated_p(fids), abs=1e-12)


def test_steady_fall_is_not_converged():
    outcome = convergence([60, 50, 40, 30, 20, 10], tolerance=0.05)
    assert outcome.tau == pytest.approx(-1)
    assert outcome.p_value == pytest.approx(1 / 720)
    assert outcome.relative_change == pytest.approx((20 - 50) / 50)
    assert not outcome.converged


def test_four_checkpoints_that_fall_all_the_way_are_enough():
    outcome = convergence([4, 3, 2, 1], tolerance=0.05)
    assert outcome.p_value == pytest.approx(1 / 24)
    assert not outcome.converged


def test_fall_within_the_tolerance_is_converged():
    assert convergence([10.05, 10.04, 10.03, 10.02, 10.01, 10.0], tolerance=0.05).converged
    assert not convergence([10.05, 10.04, 10.03, 10.02, 10.01, 10.0], tolerance=0.001).converged


def test_large_fall_is_not_converged_even_where_it_may_be_noise():
    outcome = convergence([20, 8, 21, 9, 12, 7], tolerance=0.05)
    assert outcome.relative_change < -0.05
    assert outcome.p_value > 0.05
    assert not outcome.converged


def test_rise_is_converged():
    outcome = convergence([1, 2, 3, 4, 5], tolerance=0)
    assert (outcome.tau, outcome.p_value) == pytest.approx((1, 1))
    assert outcome.converged


def test_middle_of_an_odd_number_counts_in_neither_half():
    assert convergence([10, 10, 1000, 9, 9], 0.05).relative_change == pytest.approx(-0.1)


def test_constant_fid_is_converged():
    outcome = convergence([5.0] * 8, tolerance=0)
    assert (outcome.tau, outcome.p_value, outcome.relative_change) == (0, 1, 0)
    assert outcome.converged


def test_ties_among_many_checkpoints_are_allowed():
    outcome = convergence([9, 9, 8, 8, 7, 7, 6, 6, 5, 5], tolerance=0.05)
    assert outcome.p_value < 0.001
    assert not outcome.converged


def test_verdict_does_not_depend_on_the_unit_of_fid():
    fids = np.array([12.0, 11.5, 11.7, 10.9, 10.2, 10.4])
    assert convergence(fids, 0.05).p_value == convergence(1000 * fids, 0.05).p_value
    assert convergence(1024 * fids, 0.05) == convergence(fids, 0.05)


def test_test_for_a_trend_keeps_its_level():
    draws = np.random.default_rng(0).lognormal(size=(1500, 6))
    rejected = np.mean([convergence(draw, 0).p_value < 0.05 for draw in draws])
    # Six checkpoints have 720 orders; the largest attainable p below 0.05 is 20/720.
    assert rejected == pytest.approx(20 / 720, abs=0.013)


@pytest.mark.parametrize(
    ("fids", "tolerance", "message"),
    [
        ([3, 2, 1], 0.05, "at least 4"),
        ([4, 3, 2, float("nan")], 0.05, "finite"),
        ([4, 3, 2, 0], 0.05, "positive"),
        ([4, 3, 2, 1], -0.1, "tolerance = -0.1"),
        ([4, 3, 2, 1], float("nan"), "tolerance = nan"),
    ],
)
def test_what_cannot_be_judged_is_refused(fids, tolerance, message):
    with pytest.raises(DMPError, match=message):
        convergence(fids, tolerance)
