import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.api import OLS

from dmp.statistics.arms import Unmeasured
from dmp.statistics.contrast import Aligned
from dmp.statistics.estimates import line_weights
from dmp.statistics.paired import detectable_effect, paired_difference, power, units_needed

A = np.array([5.87, 5.61, 6.02, 5.95, 5.70])
B = np.array([6.27, 6.26, 6.10, 6.43, 6.05])
ONE = np.zeros(5)


def test_a_pair_agrees_with_the_paired_difference():
    for baselines in (ONE, np.array([0, 1, 2, 0, 1])):
        found = Aligned(np.column_stack([A, B]), baselines).contrast((1, -1))
        oracle = paired_difference(A, B, baselines, resamples=99)
        detectable = found.detectable(0.025)
        assert (found.mean, found.low, found.high, found.sd, found.n, detectable) == (
            pytest.approx((oracle.mean, oracle.t_low, oracle.t_high, oracle.sd, oracle.n,
                           oracle.detectable))
        )  # fmt: skip
        assert 2 * found.p_below(0) == pytest.approx(oracle.p_t)
        assert found.unit == ("seed" if baselines is ONE else "baseline")


@pytest.mark.parametrize("bound", [-0.5, -0.2, 0.1])
def test_one_sided_p_values_agree_with_scipy(bound):
    found = Aligned(np.column_stack([A, B]), ONE).contrast((1, -1))
    for p, alternative in ((found.p_below(bound), "less"), (found.p_above(bound), "greater")):
        assert p == pytest.approx(stats.ttest_1samp(A - B, bound, alternative=alternative).pvalue)


def test_line_weights_give_the_least_squares_slope():
    x, y = np.array([0.5, 1, 4, 9]), np.array([3.0, 1, 4, 1])
    assert line_weights(x) @ y == pytest.approx(np.polyfit(x, y, 1)[0])


@given(st.permutations(range(5)))
def test_order_of_seeds_does_not_matter(order):
    order = list(order)
    values, baselines = np.column_stack([A, B]), np.array([0, 1, 2, 0, 1])
    first = Aligned(values, baselines).contrast((1, -1))
    assert Aligned(values[order], baselines[order]).contrast((1, -1)) == first


def test_swapped_arms_mirror():
    values = np.column_stack([A, B])
    one, other = (Aligned(v, ONE).contrast((1, -1)) for v in (values, values[:, ::-1]))
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert one.p_below(-0.1) == pytest.approx(other.p_above(0.1))


def test_one_unit_has_no_test():
    found = Aligned(np.array([[1.0, 2.0]]), ONE[:1]).contrast((1, -1))
    assert found.mean == -1
    assert np.isnan(
        [found.low, found.sd, found.p_below(0), found.p_above(0), found.detectable(0.025)]
    ).all()


def test_differences_without_spread_are_certain():
    found = Aligned(np.array([[1.0, 2.0], [2.0, 3.0]]), ONE[:2]).contrast((1, -1))
    assert (found.low, found.high, found.p_below(0), found.p_above(0)) == (-1, -1, 0, 1)
    assert (found.p_below(-2), found.p_above(-2)) == (1, 0)
    assert (found.p_below(-1), found.p_above(-1)) == (1, 1)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
@pytest.mark.parametrize("effect", [0, 0.1, 0.7, 2.5, 40])
def test_power_agrees_with_the_noncentral_distribution(n, effect):
    # P(T^2 > c) by the noncentral F distribution.
    tail = stats.ncf.sf(stats.f.ppf(0.95, 1, n - 1), 1, n - 1, n * effect**2) if effect else 0.05
    assert power(-effect, n) == pytest.approx(tail, abs=2e-4)


@pytest.mark.parametrize("effect", [0.1, 0.5, 1, 2.3, 5])
def test_units_needed_are_the_fewest_with_80_percent_power(effect):
    n = units_needed(effect)
    assert power(effect, n) >= 0.8 - 1e-6
    assert n == 2 or power(effect, n - 1) < 0.8
    assert units_needed(-effect) == n


def test_units_needed_at_the_ends():
    assert units_needed(float("inf")) == units_needed(1000) == 2
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2
    assert units_needed(1e-3) == pytest.approx(normal * 1e6, rel=1e-6)


def fieller_limits(top, bottom):
    """Where the paired t test of top - r bottom turns, by bisection."""
    ratio = top.mean() / bottom.mean()

    def turns(far):
        def excess(r):
            return stats.ttest_1samp(top - r * bottom, 0).pvalue - 0.05

        return optimize.brentq(excess, ratio, ratio + far)

    return turns(-0.5), turns(0.5)


@pytest.mark.parametrize("difference", [A - B, np.array([0.1, -0.1, 0.2, -0.2, 0.0])])
def test_a_share_agrees_with_tests_of_what_is_left_of_it(difference):
    share = Aligned(np.column_stack([B + difference, B]), ONE).share((1, -1), (0, 1))
    assert share.mean == pytest.approx(difference.mean() / B.mean(), abs=1e-12)
    assert (share.low, share.high) == pytest.approx(fieller_limits(difference, B), rel=1e-6)
    for bound in (-0.12, -0.05, 0.0):
        left = difference - bound * B
        for p, side in ((share.p_below(bound), "less"), (share.p_above(bound), "greater")):
            assert p == pytest.approx(stats.ttest_1samp(left, 0, alternative=side).pvalue)


def test_a_share_of_what_may_be_zero_may_be_anything():
    values = np.array([[1.0, 3.0], [1.1, -2.0], [0.9, 1.0]])
    share = Aligned(values, ONE[:3]).share((1, 0), (0, 1))
    assert (share.low, share.high) == (-np.inf, np.inf)
    with pytest.raises(Unmeasured, match="not positive"):
        Aligned(-values, ONE[:3]).share((1, 0), (0, 1))


def test_logs_make_ratios_of_differences():
    found = Aligned(np.column_stack([A, B]), ONE).logs().contrast((1, -1))
    assert np.exp(found.mean) == pytest.approx(stats.gmean(A / B))
    assert found.units == pytest.approx(sorted(np.log(A / B)))


# Two arms on seven further baselines.
FURTHER = np.array(
    [[6.1, 6.3], [5.2, 6.0], [6.6, 6.4], [5.9, 6.8], [6.0, 6.1], [5.5, 6.2], [6.2, 6.6]]
)
BASELINES = np.arange(5)


def spread_over(further, baselines=BASELINES):
    own = np.column_stack([A, B])
    return Aligned(own, baselines, Aligned(further, 10 + np.arange(len(further))))


def regressed(own, further):
    """The mean of ``own`` in a regression that gives both groups a mean of their own."""
    groups = np.repeat([[1.0, 0.0], [0.0, 1.0]], [len(own), len(further)], axis=0)
    return OLS(np.concatenate([own, further]), groups).fit()


@pytest.mark.parametrize("take", [lambda a: a, Aligned.logs])
def test_the_spread_of_further_baselines_is_pooled_as_in_a_regression(take):
    data = take(spread_over(FURTHER))
    found = data.contrast((1, -1))
    own, further = data.values @ (1, -1), data.spread.values @ (1, -1)
    oracle = regressed(own, further)
    assert (found.n, found.further, found.df) == (5, 7, oracle.df_resid)
    assert found.mean == pytest.approx(own.mean())
    assert found.sd == pytest.approx(np.sqrt(oracle.scale))
    assert (found.low, found.high) == pytest.approx(tuple(oracle.conf_int()[0]))
    for bound in (-0.5, -0.2, 0.1):
        p = oracle.t_test(([1, 0], bound)).pvalue
        assert 2 * min(found.p_below(bound), found.p_above(bound)) == pytest.approx(float(p))
        assert found.p_below(bound) + found.p_above(bound) == pytest.approx(1)
    assert found.units == data.contrast((1, -1)).units == pytest.approx(sorted(own))


def test_a_share_takes_the_spread_into_account_in_its_tests_and_its_limits():
    share = spread_over(FURTHER).share((1, -1), (0, 1))
    assert share.mean == pytest.approx(A.mean() / B.mean() - 1)
    for limit, p in ((share.low, share.p_above), (share.high, share.p_below)):
        assert p(limit) == pytest.approx(0.025)
    left = regressed(A - B + 0.1 * B, FURTHER @ (1, -1) + 0.1 * FURTHER @ (0, 1))
    assert 2 * share.p_below(-0.1) == pytest.approx(2 - float(left.pvalues[0]))


def test_what_is_a_share_of_the_same_seed_is_one_on_further_baselines_too():
    data, whole = spread_over(FURTHER), spread_over(FURTHER[:, [0]])
    whole = Aligned(whole.values[:, [0]], BASELINES, whole.spread)
    found = data.over(whole).contrast((0, 1))
    assert found.sd == pytest.approx(np.sqrt(regressed(B / A, FURTHER[:, 1] / FURTHER[:, 0]).scale))
    for other in (None, Aligned(FURTHER[1:, [0]], 11 + np.arange(6))):
        assert data.over(Aligned(whole.values, BASELINES, other)).contrast((0, 1)).further == 0


def test_a_value_without_a_logarithm_on_a_further_baseline_counts():
    assert spread_over(FURTHER).positive
    assert not spread_over(FURTHER - [[6, 0]]).positive


def test_arms_that_are_equal_everywhere_have_no_spread_at_all():
    same = np.repeat(FURTHER[:, :1], 2, axis=1)
    data = Aligned(np.column_stack([A, A]), BASELINES, Aligned(same, np.arange(7)))
    found = data.contrast((1, -1))
    assert (found.mean, found.low, found.high, found.sd) == (0, 0, 0, 0)
    # Where they differ elsewhere, equal ones are no certainty.
    assert Aligned(data.values, BASELINES, Aligned(FURTHER, np.arange(7))).contrast((1, -1)).sd > 0


@pytest.mark.parametrize("level", [0.025, 0.00625, 0.0005])
@pytest.mark.parametrize(
    ("n", "further"), [(2, 0), (3, 0), (5, 0), (10, 0), (30, 0), (3, 3), (3, 9)]
)
def test_detectable_effect_has_80_percent_power(n, further, level):
    """Also where further baselines give the standard deviation more degrees of freedom."""
    df = n - 1 + max(0, further - 1)
    effect = detectable_effect(n, df, level)
    critical, shifted = stats.t.ppf(1 - level, df), stats.nct(df, effect * np.sqrt(n))
    assert shifted.sf(critical) + shifted.cdf(-critical) == pytest.approx(0.8, abs=1e-6)
    if further:
        assert effect < detectable_effect(n, level=level)


def test_a_stricter_level_needs_more_units():
    for n in (2, 3, 5, 6, 12):
        strict = detectable_effect(n, level=0.001)
        assert strict > detectable_effect(n)
        assert power(strict, n, level=0.001) == pytest.approx(0.8)
    assert units_needed(0.5, level=0.001) > units_needed(0.5)
