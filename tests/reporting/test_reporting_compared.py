"""Evidence is told in the words of the table that compares the same variants."""

from types import SimpleNamespace

import pandas as pd
import pytest

from dmp.reporting.compared import in_words


def study(name, source="", **labels):
    cells = [SimpleNamespace(task="t", variant=v, label=label) for v, label in labels.items()]
    return SimpleNamespace(id=name, source=source, cells=cells)


STUDIES = [
    study("own", **{"dmp": "timed", "baseline": "none", "dmp,depth=1": "dmp,depth=1"}),
    study("table2", "Table 2", dmp="dmp", baseline="baseline"),
    study("table4", "Table 4", **{"dmp": "all blocks", "dmp,depth=1": "one block"}),
    study("table5", "Table 5", **{"dmp": "t", "dmp,depth=1": "one of three"}),
    study("trend", **{"baseline": "none", "dmp,depth=1": "first", "dmp": "all"}),
]


@pytest.mark.parametrize(
    ("variant", "against", "told"),
    [
        ("dmp", "baseline", ("dmp", "baseline")),
        ("dmp", "dmp,depth=1", ("all blocks", "one block")),
        ("dmp,depth=1", "baseline", ("first", "none")),
        ("baseline → dmp,depth=1 → dmp", "", ("none → first → all", "")),
        ("dmp,depth=1", None, ("dmp,depth=1", "")),
        ("dmp,depth=1", "untrained", ("dmp,depth=1", "untrained")),
        ("6.26 → 5.61", "", ("6.26 → 5.61", "")),
    ],
)
def test_a_comparison_has_the_labels_of_the_study_that_makes_it(variant, against, told):
    evaluated = pd.DataFrame({"task": ["t"], "variant": [variant], "against": [against], "p": [1]})
    (row,) = in_words(evaluated, STUDIES).itertuples()
    assert (row.variant, row.against, row.p) == (*told, 1)
