import numpy as np
import pandas as pd
import pytest

from dmp.errors import DMPError
from dmp.statistics.bits import compare_numbers, tell_numbers


def numbers(**values):
    """Numbers of runs by variant, at seed 0; ``pretraining`` is a baseline."""
    return pd.DataFrame(
        {
            "task": "unconditional", "variant": list(values), "seed": 0, "metric": "fid",
            "iteration": 10, "bin": "all", "value": list(values.values()), "protocol": "p",
        }
    )  # fmt: skip


def test_every_neighbouring_float_is_another_number():
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [rng.normal(size=200), 10.0 ** rng.uniform(-300, 300, 200), [0.0, 5e-324]]
    )
    names = [f"v{k}" for k in range(len(values))]
    reference = numbers(**dict(zip(names, values, strict=True)))
    assert set(compare_numbers(reference, reference)["verdict"]) == {"identical"}
    other = reference.assign(value=np.nextafter(values, np.inf))
    rows = compare_numbers(other, reference)
    assert set(rows["verdict"]) == {"differs"}
    lines, same = tell_numbers(rows)
    assert not same
    assert lines[0] == "numbers: 0 of 402 of 402 runs are identical"


def test_what_one_side_lacks_is_counted_by_runs():
    rows = compare_numbers(numbers(a=1.0, b=2.0), numbers(b=2.0, c=3.0, pretraining=4.0))
    assert dict(zip(rows["variant"], rows["verdict"], strict=True)) == {
        "a": "not in the reference",
        "b": "identical",
        "c": "absent here",
        "pretraining": "absent here",
    }
    lines, same = tell_numbers(rows)
    assert not same
    assert lines[1:] == [
        "absent here: 2 numbers of 1 baseline and 1 run, first unconditional/c/seed0: fid at "
        "iteration 10",
        "not in the reference: 1 numbers of 1 run, first unconditional/a/seed0: fid at iteration "
        "10",
    ]
    assert not tell_numbers(compare_numbers(numbers(), numbers(a=1.0)))[1]


def test_another_protocol_is_no_identity_though_the_values_are_equal():
    rows = compare_numbers(numbers(a=1.0), numbers(a=1.0).assign(protocol="q"))
    assert rows["verdict"].tolist() == ["measured otherwise"]
    assert not tell_numbers(rows)[1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_cannot_be_are_refused(value):
    with pytest.raises(DMPError, match="not finite: unconditional/a/seed0: fid"):
        compare_numbers(numbers(a=value), numbers(a=1.0))
    twice = pd.concat([numbers(a=1.0), numbers(a=1.0)])
    with pytest.raises(DMPError, match="listed twice: unconditional/a/seed0: fid"):
        compare_numbers(numbers(a=1.0), twice)
