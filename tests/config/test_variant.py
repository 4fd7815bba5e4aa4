"""A variant's name says what differs from the default, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp.config import METHODS, Variant
from dmp.errors import DMPError


@pytest.mark.parametrize("method", METHODS)
def test_method_alone_is_its_own_name(method):
    assert Variant.parse(method).name == method


def test_spelling_out_a_default_changes_nothing():
    assert Variant.parse("dmp,gate=linear,depth=all,importance_weight=1").name == "dmp"


@given(
    st.permutations(["depth=1", "selection=uniform", "importance_weight=0", "iterations=7"]),
)
def test_order_of_options_does_not_matter(options):
    name = "dmp,depth=1,importance_weight=0,iterations=7,selection=uniform"
    assert Variant.parse(",".join(["dmp", *options])).name == name
    assert Variant.parse(name).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dpm", r"unknown method 'dpm': did you mean 'dmp'\? accepted: baseline, dmp"),
        ("dmp,selektion=uniform", r"unknown option 'selektion' .* did you mean 'selection'\?"),
        ("dmp,gate=liner", r"'gate' = 'liner': Input should be 'linear'"),
        ("dmp,depth=0", r"'depth.*greater than 0"),
        ("dmp,depth", r"'depth' is not of the form key=value"),
        ("dmp,depth=1,depth=2", r"'depth' is given twice"),
        ("baseline,depth=1", r"'baseline' has no options"),
        ("fine-tuning,gate=linear", r"unknown option 'gate' of 'fine-tuning'"),
        ("dmp,importance_weight=-1", r"'importance_weight' = '-1'.*greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(text, message):
    with pytest.raises(DMPError, match=message):
        Variant.parse(text)
