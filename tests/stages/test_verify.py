"""Published results, and a new run compared with them; the tables here are made up, small ones."""

import json
import shutil

import pandas as pd
import pytest
from harness import make_tiny, run_command

from dmp.errors import DMPError
from dmp.files import write_json, write_text
from dmp.layout import Layout
from dmp.stages.verify import publish, verify_scale
from dmp.studies import load_plan

RECORD = {
    "commit": "abc", "dirty": False, "machine": "Linux", "device": "cpu", "python": "3.11",
    "versions": {"torch": "2"}, "started": "2026-01-01T00:00:00Z",
    "finished": "2026-01-01T01:00:00Z",
}  # fmt: skip


@pytest.fixture
def made(ablations, tmp_path):
    plan = load_plan("smoke", make_tiny(ablations))
    layout = Layout(tmp_path / "results", "smoke")
    for run in plan.runs():
        write_json(layout.run(*run) / "provenance.json", RECORD)
    cells = pd.DataFrame(
        {
            "task": "unconditional", "variant": ["baseline", "dmp"], "metric": "fid",
            "mean": [10.0, 9.0], "sd": [0.5, 0.4], "units": 3, "status": "ok",
        }
    )  # fmt: skip
    pairs = pd.DataFrame(
        {
            "task": ["unconditional"], "variant": "dmp", "against": "baseline", "metric": "fid",
            "mean": [-1.0], "sd": [0.1], "n": 3, "status": "ok",
        }
    )  # fmt: skip
    for name, table in (("table2", cells), ("table2-comparisons", pairs)):
        write_text(layout.tables / f"{name}.csv", table.to_csv(index=False))
    write_text(layout.tables / "table1.csv", "x\n1\n")
    write_text(layout.tables / "table1.html", "left out")
    write_text(layout.figures("table2") / "figure.png", "picture")
    write_text(layout.claims, "verdicts")
    return plan, layout


def test_published_results_say_what_made_them_and_agree_with_themselves(made):
    plan, layout = made
    assert "5 files" in publish(plan, layout)
    folder = layout.results / "reference/smoke"
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found == {
        "tables/table1.csv", "tables/table2.csv", "tables/table2-comparisons.csv", "claims.md",
        "figures/table2/figure.png", "provenance.json",
    }  # fmt: skip
    record = json.loads((folder / "provenance.json").read_text())
    assert (record["commit"], record["seeds"]) == (["abc"], plan.scale.seeds)
    told, agree = verify_scale(plan, layout)
    assert agree
    assert "means: 2 compared: 2 identical" in told
    assert "differences: 1 compared: 1 identical" in told
    assert "this run reproduces the reference" in told


def test_a_run_that_differs_is_told_and_ends_with_status_1(made, ablations):
    plan, layout = made
    publish(plan, layout)
    path = layout.tables / "table2.csv"
    table = pd.read_csv(path)
    table["mean"] += 500.0
    path.write_text(table.to_csv(index=False))
    told, agree = verify_scale(plan, layout)
    assert not agree
    assert "2 outside (up to 1 are expected by chance)" in told
    rows = pd.read_csv(layout.root / "verify.csv")
    assert rows[rows["verdict"] == "outside"]["kind"].tolist() == ["mean", "mean"]
    command = run_command(
        *("dmp", "verify", "--scale", "smoke", "--results", str(layout.results)),
        *("--ablations", str(ablations)),
    )
    assert command.returncode == 1
    assert "DIFFERS" in command.stdout


def test_what_lacks_is_named(made):
    plan, layout = made
    with pytest.raises(DMPError, match="no reference results for scale 'smoke'"):
        verify_scale(plan, layout)
    publish(plan, layout)
    (layout.tables / "table2.csv").unlink()
    with pytest.raises(DMPError, match=r"lacks the studies table2; make tables"):
        publish(plan, layout)
    shutil.rmtree(layout.tables)
    with pytest.raises(DMPError, match="run make tables"):
        verify_scale(plan, layout)
