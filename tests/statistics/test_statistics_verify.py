import numpy as np
import pandas as pd
import pytest

from dmp.errors import DMPError
from dmp.statistics.verify import summary, tolerated, verify

KEYS = ["task", "variant", "metric"]


def cells(*means, sd=1.0, units=5):
    return pd.DataFrame(
        {
            "task": "unconditional",
            "variant": [f"v{k}" for k in range(len(means))],
            "metric": "fid",
            "mean": means,
            "sd": sd,
            "units": units,
            "status": "ok",
        }
    )


def test_same_near_far_and_missing_are_told_apart():
    found = verify(cells(10.0, 11.0, 99.0, np.nan), cells(10.0, 10.0, 10.0, 10.0), KEYS, "units")
    assert found["verdict"].tolist() == ["identical", "within", "outside", "not in both"]
    assert summary(found) == {"identical": 1, "within": 1, "outside": 1, "not in both": 1}
    more = verify(cells(1.0, 2.0), cells(1.0), KEYS, "units")
    assert more["verdict"].tolist() == ["identical", "not in both"]


def test_what_neither_side_measured_is_left_out():
    assert verify(cells(np.nan, 1.0), cells(np.nan, 1.0), KEYS, "units")["variant"].tolist() == [
        "v1"
    ]
    with pytest.raises(DMPError, match="nothing to compare"):
        summary(verify(cells(np.nan), cells(np.nan), KEYS, "units"))


@pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 3), (10, 2)])
def test_a_faithful_repetition_lies_outside_as_often_as_promised(n, m):
    rng = np.random.default_rng(0)
    count = 4000
    reference, here = rng.normal(10, 2, (count, n)), rng.normal(10, 2, (count, m))
    theirs = cells(*reference.mean(1), sd=reference.std(1, ddof=1), units=n)
    found = verify(cells(*here.mean(1), units=m), theirs, KEYS, "units")
    assert (found["verdict"] == "outside").mean() == pytest.approx(0.05, abs=0.012)


def test_tolerance_is_the_binomial_limit():
    assert tolerated(0) == 0
    assert 5 < tolerated(100) < 15
    rng = np.random.default_rng(0)
    assert (rng.binomial(100, 0.05, 20_000) > tolerated(100)).mean() <= 0.01


def test_a_lacking_column_is_named():
    with pytest.raises(DMPError, match="reference lacks the columns sd"):
        verify(cells(1.0), cells(1.0).drop(columns="sd"), KEYS, "units")
