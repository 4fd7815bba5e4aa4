from types import SimpleNamespace

import pytest
from harness import ROOT

from dmp.reporting.figures import KINDS
from dmp.studies import load_plan
from dmp.workflow.titles import (
    _KINDS,
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


def test_every_kind_of_figure_has_a_title():
    assert set(_KINDS) == set(KINDS.names())


def test_a_kind_of_another_package_is_called_by_its_name():
    study = SimpleNamespace(title="A study", figures=[SimpleNamespace(kind="rose")])
    plan = SimpleNamespace(studies={"s": study})
    assert figure_title(plan, "s", "s-rose-text")["Figure"] == "rose"


def test_figures_of_verdicts_have_titles():
    assert verdicts_title("Claims", "claims-forest")["Figure"] == "One line for each"


def test_verdicts_of_a_scale_that_is_too_small_are_called_so(plan):
    assert verdicts_page_title(plan, "claims") == {"Title": "Verdicts on claims"}
    small = load_plan("smoke", ROOT / "ablations")
    assert "'smoke' is too small for any conclusion" in verdicts_page_title(small, "x")["Title"]
