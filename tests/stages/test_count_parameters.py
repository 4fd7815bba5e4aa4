"""Table 1 comes from real modules, and gives the paper's figures by the paper's accounting."""

from pathlib import Path

import pandas as pd
import pytest

from dmp.layout import Layout
from dmp.stages.count_parameters import count_parameters
from dmp.stages.pages import write_pages
from dmp.studies import load_plan

ABLATIONS = Path(__file__).parents[2] / "ablations"


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("results"), "digits")
    plan = load_plan("digits", ABLATIONS)
    count_parameters(plan, layout)
    write_pages(plan, layout, ["table1"])
    return layout


def test_counts_of_prompts_gate_and_backbones_are_exact(layout):
    table = pd.read_csv(layout.parameters_table).set_index("backbone")
    assert table["added"].to_dict() == {
        "DiT-B/2": 2_556_416,
        "DiT-L/2": 6_554_112,
        "DiT-XL/2": 8_552_960,
    }
    assert table["prompts"].to_dict() == {
        "DiT-B/2": 12 * 256 * 768,
        "DiT-L/2": 24 * 256 * 1024,
        "DiT-XL/2": 28 * 256 * 1152,
    }
    assert table["backbone_parameters"].to_dict() == {
        "DiT-B/2": 129_744_416,
        "DiT-L/2": 457_078_816,
        "DiT-XL/2": 675_129_632,
    }


def test_table_shows_the_papers_figures_computed_and_printed(layout):
    text = (layout.tables / "table1.md").read_text()
    for figure in ("132.5M", "+1.96%", "464.5M", "+1.43%", "683.5M", "+1.26%"):
        # Once computed here by the paper's accounting, once as the paper prints it.
        assert text.count(figure) == 2, figure
