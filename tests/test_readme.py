"""What the README shows of results stands in the committed reference."""

import re

import pytest
from harness import ROOT

REFERENCE = ROOT / "results/reference/digits"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = README.split("## What came out")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


@pytest.mark.parametrize("study", ["table2", "mechanism"])
def test_numbers_of_the_readmes_tables_are_those_of_the_reference(study):
    """Each number stands in a row of the study that begins alike."""
    known = rows((REFERENCE / "tables" / f"{study}.md").read_text(encoding="utf-8"))
    every = {cell for row in known for cell in row}
    tables = SHOWN.split("And from ")
    shown = rows(tables[["table2", "mechanism"].index(study)])
    numbers = [cell for row in shown for cell in row if re.search(r"\d\.\d", cell)]
    assert len(numbers) >= 10
    assert [number for number in numbers if number not in every] == []


def test_files_that_the_readme_points_to_exist():
    targets = re.findall(r"\]\(((?!http)[^)#]+)\)", README)
    assert len(targets) >= 8
    assert [target for target in targets if not (ROOT / target).exists()] == []
