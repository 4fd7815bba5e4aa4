import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from dmp.statistics.holm import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def step_down(p):
    """Holm's procedure, literally: multiply by what is left, never below what came before."""
    adjusted, running = np.empty(len(p)), 0.0
    for rank, index in enumerate(np.argsort(p, kind="stable")):
        running = max(running, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = running
    return adjusted


@settings(max_examples=15, deadline=None)
@given(p_values)
def test_agrees_with_statsmodels(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


def test_worked_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


@settings(max_examples=15, deadline=None)
@given(p_values)
def test_agrees_with_the_step_down_procedure(p):
    np.testing.assert_allclose(holm(p), step_down(p), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(p_values)
def test_comparison_without_a_p_value_does_not_count(p):
    adjusted = holm([np.nan, *p, np.nan])
    assert np.isnan(adjusted[[0, -1]]).all()
    np.testing.assert_array_equal(adjusted[1:-1], holm(p))


def test_nothing_tested_stays_nothing():
    assert np.isnan(holm([np.nan, np.nan])).all()
    assert holm([]).shape == (0,)
