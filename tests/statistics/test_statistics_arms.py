import pandas as pd

from dmp.statistics.arms import Arm, listed


def arm(values: dict[int, list[float]]) -> Arm:
    """Arm of seeds and their values at two timesteps; two seeds rest on a baseline."""
    table = pd.DataFrame.from_dict(values, orient="index", columns=[0, 500])
    baselines = pd.Series({seed: seed // 2 for seed in values})
    return Arm("unconditional", "dmp", "denoising_mse", table, baselines, ("p", "e", 1))


def test_differences_are_those_of_the_seeds_that_both_have():
    nan = float("nan")
    found = arm({0: [5, 1], 1: [7, 2], 2: [9, nan]}).minus(arm({1: [4, 4], 2: [1, 3], 3: [0, 0]}))
    assert found.values.to_dict("index").keys() == {1, 2}
    assert found.values.loc[1].tolist() == [3, -2]
    assert found.values.loc[2, 0] == 8
    assert pd.isna(found.values.loc[2, 500])
    assert found.baselines.to_dict() == {1: 0, 2: 1}


def test_seeds_are_listed_in_order_and_one_is_no_several():
    assert listed({3}) == "seed 3"
    assert listed([1, 0]) == "seeds 0, 1"
