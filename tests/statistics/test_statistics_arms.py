import numpy as np
import pandas as pd
import pytest
from fake_results import result_rows

from dmp.errors import DMPError
from dmp.statistics.arms import Arms, Unmeasured, check_pair, listed
from dmp.statistics.contrast import align

# Of the held-out and of the training images, seed by seed.
LOSSES = {"denoising_mse": [3.0, 5.0], "train_denoising_mse": [2.5, 4.0]}


def make_rows(variant, protocol="p1", **changes):
    return [
        row
        for metric, values in (LOSSES | changes).items()
        for row in result_rows({variant: values}, "t", metric, protocol=protocol)
    ]


def test_seeds_are_listed_in_order_and_one_is_no_several():
    assert listed({3}) == "seed 3"
    assert listed([1, 0]) == "seeds 0, 1"


def test_gap_is_a_difference_within_each_run_and_keeps_how_both_were_measured():
    rows = [*make_rows("a"), *make_rows("b"), *make_rows("other", protocol="p2")]
    arms = Arms(pd.DataFrame(rows))
    a, b, other = (arms.arm("t", variant, "denoising_gap") for variant in ("a", "b", "other"))
    np.testing.assert_array_equal(a.last, [0.5, 1.0])
    assert (a.metric, a.variant) == ("denoising_gap", "a")
    check_pair(a, b)
    with pytest.raises(
        DMPError, match=r"measured differently \(protocol p1: a; protocol p2: other"
    ):
        check_pair(a, other)


def test_gap_of_runs_that_lack_one_of_the_two_is_unmeasured():
    arms = Arms(pd.DataFrame(make_rows("a", train_denoising_mse=[2.5])))
    with pytest.raises(Unmeasured, match="denoising_mse and train_denoising_mse of a on t"):
        arms.arm("t", "a", "denoising_gap")


def elsewhere(variant, first=5, baselines=None, **changes):
    """As ``make_rows``, of other seeds, each on a baseline of its own."""
    rows = make_rows(variant, **changes)
    for row in rows:
        row["seed"] += first
        row["baseline_seed"] = row["seed"] if baselines is None else baselines
    return rows


def own(variant, **changes):
    """As ``make_rows``, each seed on a baseline of its own."""
    return elsewhere(variant, first=0, **changes)


THREE = {name: [3.0, 5.0, 4.5] for name in LOSSES}


def spread_of(further, variants=("a", "b"), metric="denoising_mse"):
    rows = [row for variant in variants for row in own(variant)]
    arms = Arms(pd.DataFrame(rows), pd.DataFrame(further))
    return align([arms.arm("t", variant, metric) for variant in variants]).spread


def test_further_baselines_are_paired_by_their_own_seeds():
    found = spread_of([*elsewhere("a", **THREE), *elsewhere("b", first=6, **THREE)])
    # Seeds 5, 6, 7 of one and 6, 7, 8 of the other.
    np.testing.assert_array_equal(found.values, [[5.0, 3.0], [4.5, 5.0]])
    np.testing.assert_array_equal(found.baselines, [6, 7])
    gap = spread_of([*elsewhere("a"), *elsewhere("b")], metric="denoising_gap")
    np.testing.assert_array_equal(gap.values, [[0.5, 0.5], [1.0, 1.0]])


LOST = {"metric": "diverged", "value": 1.0, "seed": 9, "baseline_seed": 9, "bin": "all"}


@pytest.mark.parametrize(
    "further",
    [
        pytest.param([*own("a"), *own("b")], id="the same baselines"),
        pytest.param([*elsewhere("a"), *elsewhere("b", protocol="p2")], id="measured otherwise"),
        pytest.param(elsewhere("a"), id="one arm alone"),
        pytest.param([*elsewhere("a"), *elsewhere("b", first=8)], id="no seed of both"),
        pytest.param([*elsewhere("a"), *elsewhere("b", first=6)], id="one seed of both"),
        pytest.param(
            [*elsewhere("a", baselines=7), *elsewhere("b", baselines=7)], id="a single baseline"
        ),
        pytest.param(
            [*elsewhere("a"), *elsewhere("b"), {**elsewhere("b")[0], **LOST}], id="one diverged"
        ),
    ],
)
def test_what_is_not_of_the_kind_adds_no_spread(further):
    assert spread_of([*elsewhere("a"), *elsewhere("b")]) is not None
    assert spread_of(further) is None


def test_seeds_on_one_baseline_are_units_that_further_baselines_say_nothing_of():
    rows, further = make_rows("a"), elsewhere("a")
    arm = Arms(pd.DataFrame(rows), pd.DataFrame(further)).arm("t", "a", "denoising_mse")
    assert arm.spread is not None
    assert align([arm]).spread is None


def test_slopes_and_single_keys_have_the_spread_of_their_own():
    rows = [
        {**row, "bin": name, "value": row["value"] * (1 + k)}
        for row in own("a")
        for k, name in enumerate(("0-99", "100-199"))
    ]
    further = [{**row, "seed": row["seed"] + 5, "baseline_seed": row["seed"] + 5} for row in rows]
    arms = Arms(pd.DataFrame(rows), pd.DataFrame(further))
    arm = arms.arm("t", "a", "denoising_mse", "timestep")
    np.testing.assert_allclose(arm.slopes(per=100).spread.last, [3.0, 5.0])
    np.testing.assert_array_equal(arm.at(49.5).spread.last, [3.0, 5.0])
