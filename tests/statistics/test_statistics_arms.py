import numpy as np
import pandas as pd
import pytest

from dmp.errors import DMPError
from dmp.statistics.arms import Arms, Unmeasured, check_pair, listed

# Of the held-out and of the training images, seed by seed.
LOSSES = {"denoising_mse": [3.0, 5.0], "train_denoising_mse": [2.5, 4.0]}


def make_rows(variant, protocol="p1", **changes):
    row = {"task": "t", "variant": variant, "bin": "all", "iteration": 10, "baseline_seed": 0}
    row |= {"samples": 64, "protocol": protocol, "evaluator": "e", "commit": "c", "config": "x"}
    return [
        {**row, "seed": seed, "metric": metric, "value": value}
        for metric, each in (LOSSES | changes).items()
        for seed, value in enumerate(each)
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
