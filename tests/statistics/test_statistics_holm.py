import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from dmp.statistics.holm import holm, holm_factors

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(p_values)
def test_agrees_with_statsmodels(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(p_values)
def test_comparison_without_a_p_value_does_not_count(p):
    adjusted = holm([np.nan, *p, np.nan])
    assert np.isnan(adjusted[[0, -1]]).all()
    np.testing.assert_array_equal(adjusted[1:-1], holm(p))


def test_nothing_tested_stays_nothing():
    assert np.isnan(holm([np.nan, np.nan])).all()
    assert holm([]).shape == (0,)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=8))
def test_a_p_value_times_its_factor_is_rejected_where_holm_rejects_it(p):
    factors = holm_factors(p, 0.05)
    np.testing.assert_array_equal(np.array(p) * factors <= 0.05, holm(p) <= 0.05)


def test_parts_are_compared_with_the_level_that_is_left_to_the_whole():
    # Two of three are rejected, the third by 1 left: so are parts of it.
    np.testing.assert_array_equal(holm_factors([0.01, 0.9, 0.02, np.nan], 0.05), [3, 1, 2, np.nan])
    # None is: all times 2, what the first of them was multiplied by.
    np.testing.assert_array_equal(holm_factors([0.03, 0.9], 0.05), [2, 2])
