"""Pages are shared among processes: all of them are made, and what fails is told."""

import os
from functools import partial

import pytest
from harness import ROOT

from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.stages import rebuild as module
from dmp.stages.rebuild import rebuild
from dmp.studies import load_plan


def _write(path):
    path.write_text("page")


def _refuse(path):
    raise DMPError("no numbers")


def _die(path):
    os._exit(9)


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """A function that shares tasks among two processes; each gets a path that it may write."""

    def share(*tasks):
        paths = [partial(task, tmp_path / str(n)) for n, task in enumerate(tasks)]
        monkeypatch.setattr(module, "_tasks", lambda plan, layout: (paths, []))
        monkeypatch.setattr(module, "_cores", lambda: 2)
        rebuild(None, Layout(tmp_path / "results", "digits"))
        return sorted(path.name for path in tmp_path.iterdir())

    return share


def test_every_page_is_made(shared):
    assert shared(*[_write] * 5) == ["0", "1", "2", "3", "4"]


def test_what_a_page_lacks_is_told(shared):
    with pytest.raises(DMPError, match="no numbers"):
        shared(_write, _refuse, _write)


def test_killed_process_is_told(shared):
    with pytest.raises(DMPError, match="was killed"):
        shared(_write, _die, _write)


def test_all_studies_and_the_claims_are_tasks_once_they_have_numbers(tmp_path):
    plan, layout = load_plan("digits", ROOT / "ablations"), Layout(tmp_path, "digits")
    every = sorted([*plan.studies, *plan.parameter_studies])
    assert module._tasks(plan, layout) == ([], sorted([*every, "claims", "hypotheses"]))
    for path in (
        *(layout.results_table(name) for name in (*plan.studies, "claims", "hypotheses")),
        *(layout.baselines_table(name) for name in plan.studies),
        *(layout.parameters_table, layout.speed_table),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (claims, hypotheses, *pages), without = module._tasks(plan, layout)
    assert (claims.args[2], hypotheses.args[2]) == ("claims", "hypotheses")
    assert sorted(name for page in pages for name in page.args[2]) == every
    assert without == []
    layout.results_table("table2").unlink()
    assert module._tasks(plan, layout)[1] == ["table2"]
