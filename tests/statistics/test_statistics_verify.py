import numpy as np
import pandas as pd
import pytest

from dmp.errors import DMPError
from dmp.statistics.verify import (
    tell_absent,
    tell_identical,
    tell_statistics,
    tolerated,
    verify,
)

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


def told(rows):
    return rows.assign(kind="mean", study="table2", against="")


def test_same_near_far_and_half_measured_are_told_apart():
    here, reference = cells(10.0, 11.0, 99.0, np.nan), cells(10.0, 10.0, 10.0, 10.0)
    found = verify(here, reference, KEYS, "units")
    verdicts = ["identical", "within", "outside", "measured on one side"]
    assert found["verdict"].tolist() == verdicts
    assert verify(reference, here, KEYS, "units")["verdict"].iloc[-1] == "measured on one side"


def test_rows_that_one_side_lacks_are_told_apart_from_rows_without_a_number():
    more = verify(cells(1.0, 2.0), cells(1.0), KEYS, "units")
    assert more["verdict"].tolist() == ["identical", "not in the reference"]
    fewer = verify(cells(1.0), cells(1.0, np.nan), KEYS, "units")
    assert fewer["verdict"].tolist() == ["identical", "absent here"]
    lines, agree = tell_absent(told(fewer))
    assert not agree
    assert lines == ["absent here: 1 rows of tables, first table2: unconditional/v1: fid"]
    assert tell_absent(told(fewer[:1])) == ([], True)


def test_what_neither_side_measured_is_left_out():
    assert verify(cells(np.nan, 1.0), cells(np.nan, 1.0), KEYS, "units")["variant"].tolist() == [
        "v1"
    ]
    with pytest.raises(DMPError, match="nothing to compare"):
        tell_statistics(told(verify(cells(np.nan), cells(np.nan), KEYS, "units")))


@pytest.mark.parametrize(
    "reference",
    [
        cells(0.5, sd=0.0),
        cells(0.5, sd=1e-17),
        cells(0.5, units=1),
        cells(0.5, units=1, sd=np.nan),
        cells(0.0, sd=0.0),
    ],
    ids=["one baseline", "rounding", "one seed", "one seed without sd", "zero"],
)
def test_an_interval_without_width_finds_no_difference(reference):
    found = verify(cells(0.51), reference, KEYS, "units")
    assert found["verdict"].tolist() == ["not comparable"]
    assert found[["low", "high"]].isna().all(axis=None)
    assert verify(reference, reference, KEYS, "units")["verdict"].tolist() == ["identical"]
    both = pd.concat([found, verify(cells(1.0), cells(1.0), KEYS, "units")])
    lines, agree = tell_statistics(told(both))
    assert agree
    assert "not comparable statistically: 1 means" in lines[1]


def test_a_run_that_diverged_on_one_side_only_counts_as_a_difference():
    values = np.arange(1.0, 101.0)
    here = values.copy()
    here[:30] = np.nan
    lines, agree = tell_statistics(told(verify(cells(*here), cells(*values), KEYS, "units")))
    assert not agree
    assert "30 measured on one side only" in lines[0]


def test_rows_of_other_numbers_of_seeds_need_not_be_identical_but_all_others_must():
    other = verify(cells(1.0, units=6), cells(2.0, units=3), KEYS, "units")
    lines, agree = tell_identical(told(other))
    assert agree
    assert "1 rows not compared" in lines[1]
    lines, agree = tell_identical(told(verify(cells(1.0), cells(2.0), KEYS, "units")))
    assert not agree
    assert lines[-1].endswith("unconditional/v0: fid = 1.0 here, 2.0 in the reference")


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
