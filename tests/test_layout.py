"""Where files lie, and which run a file is of."""

from pathlib import Path

import pytest

from dmp.errors import DMPError
from dmp.layout import Layout


@pytest.mark.parametrize("results", ["results", "./results", "../a folder/results", "/results"])
def test_file_that_says_that_a_run_is_finished_names_the_run(results):
    layout, run = Layout(Path(results), "smoke"), ("unconditional", "dmp,type=hard+x", 12)
    assert layout.run_of(layout.finished(*run)) == run


@pytest.mark.parametrize(
    "path",
    [
        *("finished", "seed0/finished", "", "/", "dmp/seed0/finished"),
        "results/smoke/runs/unconditional/dmp/seed0/metrics.csv",
        "results/smoke/runs/unconditional/dmp/seed0",
        "results/digits/runs/unconditional/dmp/seed0/finished",
        "elsewhere/smoke/runs/unconditional/dmp/seed0/finished",
        "results/smoke/runs/unconditional/dmp/0/finished",
        "results/smoke/runs/unconditional/dmp/seed00/finished",
        "results/smoke/runs/unconditional/dmp/seed-1/finished",
        "results/smoke/runs/unconditional/dmp/seed²/finished",
        "results/smoke/runs/../unconditional/dmp/seed0/finished",
    ],
)
def test_any_other_file_is_one_clear_error(path):
    with pytest.raises(DMPError, match="accepted is results/smoke/runs/TASK/VARIANT/seedSEED/f"):
        Layout(Path("results"), "smoke").run_of(Path(path))
