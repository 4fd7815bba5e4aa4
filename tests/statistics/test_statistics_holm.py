import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from dmp.statistics.holm import holm

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
