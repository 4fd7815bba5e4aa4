import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmp.errors import DMPError
from dmp.statistics.convergence import convergence


def score(fids):
    return sum(np.sign(later - earlier) for earlier, later in itertools.combinations(fids, 2))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 99), min_size=4, max_size=6, unique=True))
def test_p_value_agrees_with_enumeration(fids):
    """The share of all orders of the FIDs that fall at least as steadily as the observed one."""
    scores = [score(order) for order in itertools.permutations(fids)]
    enumerated = np.mean(np.array(scores) <= score(fids))
    assert convergence(fids, 0.05).p_value == pytest.approx(enumerated, abs=1e-12)


STEADY = [10.05, 10.04, 10.03, 10.02, 10.01, 10.0]


@pytest.mark.parametrize(
    ("fids", "tolerance", "expected", "converged"),
    [
        # A steady fall; four checkpoints are enough for one.
        ([60, 50, 40, 30, 20, 10], 0.05, (-1, 1 / 720, (20 - 50) / 50), False),
        ([4, 3, 2, 1], 0.05, (-1, 1 / 24, (1.5 - 3.5) / 3.5), False),
        # A fall within the tolerance, and a rise.
        (STEADY, 0.05, (-1, 1 / 720, (10.01 - 10.04) / 10.04), True),
        (STEADY, 0.001, (-1, 1 / 720, (10.01 - 10.04) / 10.04), False),
        ([1, 2, 3, 4, 5], 0, (1, 1, (4.5 - 1.5) / 1.5), True),
        ([5.0] * 8, 0, (0, 1, 0), True),
        # A large fall counts even where it may be noise; the middle one of five in neither half.
        ([20, 8, 21, 9, 12, 7], 0.05, (None, None, (28 / 3 - 49 / 3) / (49 / 3)), False),
        ([10, 10.5, 1000, 9, 9.5], 0.05, (None, None, (9.25 - 10.25) / 10.25), False),
        ([9, 9, 8, 8, 7, 7, 6, 6, 5, 5], 0.05, (None, None, (5.8 - 8.2) / 8.2), False),
    ],
)
def test_a_fall_beyond_the_tolerance_is_not_converged(fids, tolerance, expected, converged):
    outcome = convergence(fids, tolerance)
    assert outcome.converged == converged
    found = (outcome.tau, outcome.p_value, outcome.relative_change)
    for value, wanted in zip(found, expected, strict=True):
        assert wanted is None or value == pytest.approx(wanted)


def test_verdict_does_not_depend_on_the_unit_of_fid():
    fids = np.array([12.0, 11.5, 11.7, 10.9, 10.2, 10.4])
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
