from dmp.statistics.arms import listed


def test_seeds_are_listed_in_order_and_one_is_no_several():
    assert listed({3}) == "seed 3"
    assert listed([1, 0]) == "seeds 0, 1"
