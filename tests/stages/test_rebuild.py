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
        monkeypatch.setattr(module, "_tasks", lambda plan, layout: paths)
        monkeypatch.setattr(module, "_cores", lambda: 2)
        rebuild(None, None)
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


def test_all_studies_the_claims_and_the_hypotheses_are_tasks(tmp_path):
    plan = load_plan("digits", ROOT / "ablations")
    claims, hypotheses, *pages = module._tasks(plan, Layout(tmp_path, "digits"))
    assert claims.func is module.judge_claims
    assert hypotheses.func is module.judge_hypotheses
    names = [name for page in pages for name in page.args[2]]
    assert sorted(names) == sorted([*plan.studies, *plan.parameter_studies])
