from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pandas as pd
import pytest
from claim_examples import EQUIVALENCE, judge
from scipy import stats

from dmp.errors import DMPError
from dmp.registry import Registry

ARITHMETIC = {"test": "arithmetic", "from": "6.26", "to": "5.61", "claimed_percent": "10.38",
              "digits": 2}  # fmt: skip
PARAMETERS = {"test": "parameters", "study": "table1", "backbones": ["B", "L"],
              "claimed": ["1.26", "1.96"]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "verdict", "told"),
    [
        ({}, "supported", "10.383 %, rounded 10.38"),
        ({"to": "5.00", "claimed_percent": "20.13"}, "supported", "20.128 %, rounded 20.13"),
        ({"to": "5.00", "claimed_percent": "20.12"}, "supported", "20.128 %, truncated 20.12"),
        ({"to": "5.62", "claimed_percent": "10.23"}, "contradicted", "neither"),
        ({"from": "47.18", "to": "35.44", "claimed_percent": "10.74"}, "contradicted", "24.883 %"),
    ],
)
def test_arithmetic(change, verdict, told):
    row = judge(ARITHMETIC | change, {"dmp": [1.0]})
    assert row.verdict == verdict
    assert told in row.reason
    assert np.isnan(row.p_for)


def test_parameters():
    counted = pd.DataFrame({"study": "table1", "backbone": ["B", "L", "XL"],
                            "increase_percent": [1.9664, 1.2671, 5.0]})  # fmt: skip
    row = judge(PARAMETERS, {"dmp": [1.0]}, parameters=counted)
    assert (row.verdict, row.reason.count("truncated")) == ("supported", 2)
    more = PARAMETERS | {"backbones": ["B", "XL"]}
    assert judge(more, {"dmp": [1.0]}, parameters=counted).verdict == "contradicted"
    missing = judge(PARAMETERS | {"backbones": ["S"]}, {"dmp": [1.0]}, parameters=counted)
    assert (missing.verdict, missing.reason) == ("not tested", "study table1 has not counted S")
    assert judge(PARAMETERS, {"dmp": [1.0]}).verdict == "not tested"


def timings(ratios):
    return pd.DataFrame(
        [
            {"task": "unconditional", "variant": variant, "stage": "sampling", "repeat": k,
             "seconds": (2 + 0.1 * k) * factor}
            for k, ratio in enumerate(ratios)
            for variant, factor in (("dmp", ratio), ("baseline", 1.0))
        ]
    )  # fmt: skip


def test_speed_is_the_ratio_of_paired_repeats():
    evidence = EQUIVALENCE | {"test": "speed", "stage": "sampling"}
    ratios = [1.01, 1.02, 1.00, 1.03]
    row = judge(evidence, {"dmp": [1.0]}, speed=timings(ratios))
    limits = stats.ttest_1samp(np.log(ratios), 0).confidence_interval()
    assert row.effect == pytest.approx(100 * (stats.gmean(ratios) - 1))
    assert (row.low, row.high) == pytest.approx(tuple(100 * np.expm1(x) for x in limits))
    assert (row.verdict, row.unit) == ("supported", "block")
    assert row.reason.startswith("a slowdown by 5 % is excluded")
    slow = judge(evidence, {"dmp": [1.0]}, speed=timings([1.2, 1.21, 1.19]))
    assert slow.verdict == "contradicted"
    fast = judge(evidence, {"dmp": [1.0]}, speed=timings([0.8, 0.81, 0.79]))
    assert fast.verdict == "supported"
    assert judge(evidence, {"dmp": [1.0]}).reason == "no timings were taken"
    with pytest.raises(DMPError, match="repeat is listed twice"):
        judge(evidence, {"dmp": [1.0]}, speed=pd.concat([timings([1.0, 1.1])] * 2))
    with pytest.raises(DMPError, match="above 0"):
        judge(evidence, {"dmp": [1.0]}, speed=timings([1.0, 0.0]))


def test_entry_points_name_the_modules_of_other_packages(monkeypatch):
    kinds = Registry("dmp.claims.kinds", "some.group")
    point = EntryPoint("theirs", "some_package.kind", "some.group")
    monkeypatch.setattr("dmp.registry.entry_points", lambda **_: EntryPoints([point]))
    monkeypatch.setattr(EntryPoint, "load", lambda self: kinds.register("theirs")("a kind"))
    assert {"theirs", "difference"} <= set(kinds.names())
    assert kinds.get("theirs", "test") == "a kind"
    with pytest.raises(DMPError, match="test = 'there': did you mean 'theirs'"):
        kinds.get("there", "test")


def test_untested_says_why():
    row = judge({"test": "untested", "reason": "needs people"}, {"dmp": [1.0]})
    assert (row.verdict, row.reason) == ("not tested", "needs people")
