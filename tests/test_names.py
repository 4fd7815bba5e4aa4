"""What is registered by a name keeps it."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from dmp.claims.evidence import KINDS, Evidence, register_evidence
from dmp.data.formats import dataset_format, find_format
from dmp.data.registry import dataset, dataset_info, numerals
from dmp.data.sources.base import Source
from dmp.errors import DMPError
from dmp.methods import find_method
from dmp.methods import register as register_method
from dmp.metrics.base import register as register_metric
from dmp.metrics.registry import find_metric
from dmp.patching import GATES, Gate, register_gate


def another(thing: object) -> type:
    """Return a class of the same name that is defined here."""
    return type("Another", (type(thing),), {})


AS_DIGITS = dataset("digits", image_size=8, channels=1, classes=10, flip=False)
REGISTERED = {
    "method 'dmp'": (register_method, another(find_method("dmp")), lambda: find_method("dmp")),
    "metric 'fid'": (register_metric, another(find_metric("fid")), lambda: find_metric("fid")),
    "dataset 'digits'": (AS_DIGITS, numerals, lambda: dataset_info("digits")),
    "format 'folder'": (dataset_format("folder"), Source, lambda: find_format("folder")),
    "gate 'linear'": (register_gate("linear"), Gate, lambda: GATES["linear"]),
    "dmp.evidence kind 'difference'": (
        *(register_evidence("difference"), Evidence, lambda: KINDS.get("difference", "test")),
    ),
}


@pytest.mark.parametrize("name", REGISTERED)
def test_a_name_that_is_taken_is_refused_and_keeps_what_it_names(name):
    register, second, find = REGISTERED[name]
    first = find()
    message = name.replace(" '", "s are called '") + ": .* and .*; rename"
    with pytest.raises(DMPError, match=message):
        register(second)
    assert find() is first


def test_the_same_thing_may_be_registered_again():
    assert register_gate("linear")(GATES["linear"]) is GATES["linear"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_package", "another package names no_such_package as 'theirs' of "
                            "dmp.evidence, which cannot be imported: No module named"),
        ("json:no_such_name", "names json:no_such_name as 'theirs' .* has no attribute"),
        ("json", "test: what 'theirs' stands for in the group dmp.evidence .* registers nothing"),
    ],
)  # fmt: skip
def test_a_package_that_does_not_bring_what_it_names_is_named(monkeypatch, value, message):
    point = EntryPoint("theirs", value, "dmp.evidence")
    monkeypatch.setattr("dmp.registry.entry_points", lambda **_: EntryPoints([point]))
    with pytest.raises(DMPError, match=message):
        KINDS.get("theirs", "test")
