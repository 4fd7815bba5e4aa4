"""How ``dmp run`` ends: the run's numbers beside its baseline's, and where they lie."""

import pytest

from dmp.errors import DMPError
from dmp.files import write_text
from dmp.layout import Layout
from dmp.stages.outcome import outcome
from dmp.studies import load_plan

TASK = "unconditional"


@pytest.fixture(scope="module")
def plan():
    return load_plan("digits")


def write_metrics(layout, variant, rows):
    head = "metric,bin,iteration,value\n"
    write_text(layout.metrics(TASK, variant, 0), head + "".join(f"{row}\n" for row in rows))


def test_numbers_of_the_last_iteration_stand_beside_those_of_the_baseline(plan, tmp_path):
    layout = Layout(tmp_path, "digits")
    rows = ["fid,all,10,30.5", "fid,all,20,12.25", "denoising_mse,all,20,0.1534"]
    write_metrics(layout, "dmp", [*rows, "denoising_mse,0-99,20,0.9"])
    write_metrics(layout, "baseline", ["fid,all,0,13.5"])

    said = outcome(layout, plan.run(TASK, "dmp", 0)).splitlines()

    assert said[0].split() == ["unconditional,", "seed", "0", "dmp", "baseline"]
    assert [line.split() for line in said[2:-1]] == [
        ["FID", "↓", "12.25", "13.50"],
        ["Denoising", "MSE", "↓", "0.1534", "–"],
    ]
    assert said[-1] == f"in {layout.run(TASK, 'dmp', 0)}"


def test_baseline_is_that_of_the_runs_own_recipe_and_may_not_have_been_measured(plan, tmp_path):
    layout = Layout(tmp_path, "digits")
    write_metrics(layout, "dmp,recipe=decayed", ["fid,all,20,12.25"])
    run = plan.run(TASK, "dmp,recipe=decayed", 0)
    write_metrics(layout, "baseline", ["fid,all,0,13.5"])
    assert outcome(layout, run).splitlines()[2].split() == ["FID", "↓", "12.25", "–"]

    write_metrics(layout, "baseline,recipe=decayed", ["fid,all,0,9.5"])
    assert outcome(layout, run).splitlines()[2].split() == ["FID", "↓", "12.25", "9.500"]


def test_baseline_stands_alone_and_a_run_that_has_diverged_says_so(plan, tmp_path):
    layout = Layout(tmp_path, "digits")
    write_metrics(layout, "baseline", ["diverged,all,0,1"])

    said = outcome(layout, plan.run(TASK, "baseline", 0)).splitlines()

    assert said[0].split() == ["unconditional,", "seed", "0", "baseline"]
    assert said[2].split()[0] == "Diverged"
    with pytest.raises(DMPError, match="does not exist"):
        outcome(layout, plan.run(TASK, "dmp", 0))
