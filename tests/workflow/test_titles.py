from types import SimpleNamespace

import pytest
from harness import ROOT

from dmp.reporting.figures import KINDS
from dmp.reporting.figures.registry import register_figure
from dmp.studies import load_plan
from dmp.workflow.titles import (
    figure_title,
    table_title,
    verdicts_page_title,
    verdicts_title,
)


@pytest.fixture(scope="module")
def plan():
    return load_plan("digits", ROOT / "ablations")


def test_a_table_is_called_by_its_title_and_its_place_in_the_paper(plan):
    found = table_title(plan, "table2")
    assert found["Title"] == "Further training of converged backbones"
    assert found["Source"].startswith("Table 2")
    assert table_title(plan, "mechanism")["Source"] == "our own question"
    assert table_title(plan, "table1")["Source"].startswith("Table 1")


@pytest.mark.parametrize(
    ("study", "figure", "kind", "task"),
    [
        ("figure5", "figure5-gate-class-conditional", "Weights of the gate", "class-conditional"),
        ("figure4", "figure4-dose-response-unconditional", "Dose and response", "unconditional"),
        ("figure2", "figure2-curve", "Change over further training", ""),
    ],
)
def test_a_figure_is_called_by_what_it_shows_and_its_task(plan, study, figure, kind, task):
    found = figure_title(plan, study, figure)
    assert (found["Figure"], found["Task"]) == (kind, task)
    assert found["Title"] == plan.studies[study].title


def test_every_kind_of_figure_of_ours_has_a_title():
    for name in KINDS.names():
        assert KINDS.get(name, "test").title != name


@pytest.mark.parametrize(("title", "called"), [("A rose", "A rose"), ("", "rose")])
def test_a_kind_is_called_as_it_is_registered_and_else_by_its_name(monkeypatch, title, called):
    # As another package's module does, which an entry point of the group dmp.figures names.
    monkeypatch.setattr(KINDS, "_found", dict(KINDS._found))
    register_figure("rose", title=title)(lambda *_: None)
    study = SimpleNamespace(title="A study", figures=[SimpleNamespace(kind="rose")])
    plan = SimpleNamespace(studies={"s": study})
    found = {"Title": "A study", "Figure": called, "Task": "text"}
    assert figure_title(plan, "s", "s-rose-text") == found


def test_a_figure_that_no_study_has_is_called_by_its_file(plan):
    found = {"Title": "gone", "Figure": "gate-text", "Task": ""}
    assert figure_title(plan, "gone", "gone-gate-text") == found


def test_figures_of_verdicts_have_titles():
    assert verdicts_title("Claims", "claims-forest")["Figure"] == "One line for each"


def test_verdicts_of_a_scale_that_is_too_small_are_called_so(plan):
    assert verdicts_page_title(plan, "claims") == {"Title": "Verdicts on claims"}
    small = load_plan("smoke", ROOT / "ablations")
    assert "'smoke' is too small for any conclusion" in verdicts_page_title(small, "x")["Title"]
