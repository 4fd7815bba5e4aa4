import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dmp.errors import DMPError
from dmp.statistics.estimates import mean_interval

numbers = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 6)), min_size=2, max_size=8)


def test_interval_agrees_with_scipy():
    values = [6.27, 6.57, 6.81, 5.87]
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    estimate = mean_interval(values, level=0.9)
    assert (estimate.low, estimate.high) == pytest.approx((oracle.low, oracle.high), rel=1e-12)
    assert estimate.mean == pytest.approx(6.38)
    assert estimate.sd == pytest.approx(np.std(values, ddof=1))
    assert estimate.n == 4


def test_interval_over_baselines_covers_where_one_over_seeds_does_not():
    rng = np.random.default_rng(1)
    baselines = np.repeat(np.arange(5), 3)
    covered = {"baseline": 0, "seed": 0}
    for _ in range(1000):
        values = rng.normal(size=5)[baselines] + 0.3 * rng.normal(size=15)
        for unit, clusters in (("baseline", baselines), ("seed", None)):
            estimate = mean_interval(values, clusters)
            covered[unit] += estimate.low <= 0 <= estimate.high
    assert covered["baseline"] / 1000 == pytest.approx(0.95, abs=0.02)
    assert covered["seed"] / 1000 < 0.85


def test_several_baselines_are_the_units_with_equal_weights():
    estimate = mean_interval([1, 2, 3, 10], clusters=[0, 0, 0, 1])
    assert (estimate.mean, estimate.n) == (6.0, 2)
    assert estimate == mean_interval([2, 10])


def test_one_unit_has_no_interval():
    estimate = mean_interval([4.2])
    assert (estimate.mean, estimate.n) == (4.2, 1)
    assert np.isnan([estimate.low, estimate.high, estimate.sd]).all()


@pytest.mark.parametrize("values", [[0.3] * 6, [0.3, 0.1 + 0.2, 0.3]])
def test_values_equal_up_to_rounding_have_a_standard_deviation_of_exactly_zero(values):
    estimate = mean_interval(values)
    assert (estimate.low, estimate.mean, estimate.high, estimate.sd) == (0.3, 0.3, 0.3, 0.0)


@given(values=numbers, data=st.data())
def test_order_of_seeds_changes_no_bit(values, data):
    order = data.draw(st.permutations(range(len(values))))
    clusters = [index // 2 for index in range(len(values))]
    shuffled = mean_interval([values[i] for i in order], [clusters[i] for i in order])
    np.testing.assert_equal(vars(shuffled), vars(mean_interval(values, clusters)))


@given(values=numbers, shift=st.floats(-1e3, 1e3))
def test_shift_moves_mean_and_limits_alone(values, shift):
    before, after = mean_interval(values), mean_interval(np.array(values) + shift)
    assert after.sd == pytest.approx(before.sd, abs=1e-9)
    assert after.low - before.low == pytest.approx(shift, abs=1e-8)
    assert after.high - before.high == pytest.approx(shift, abs=1e-8)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")], [[1.0, 2.0]]])
def test_values_that_are_not_numbers_are_refused(values):
    with pytest.raises(DMPError, match="finite"):
        mean_interval(values)


def test_clusters_of_another_length_are_refused():
    with pytest.raises(DMPError, match="2 clusters are given for 3 values"):
        mean_interval([1, 2, 3], clusters=[0, 1])
