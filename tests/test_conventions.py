"""What conventions ask for: the workflow catalog's, those of citations, and terms of data."""

import re

import pytest
import yaml
from harness import ROOT

from dmp import __version__
from dmp.data.registry import DATASETS
from dmp.studies import load_plan
from dmp.workflow.settings import KEYS


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables, by what stands first in them."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {first: rest for first, *rest in cells}


def test_the_workflow_catalog_finds_what_standard_usage_needs():
    """As its own documentation asks, of a repository that has a folder named workflow."""
    usage = yaml.safe_load(read(".snakemake-workflow-catalog.yml"))["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert 'include: "../Snakefile"' in read("workflow/Snakefile")
    assert list((ROOT / "workflow/rules").glob("*.smk"))
    assert {"snakemake", "workflow"} <= {*re.findall(r"\w+", read("README.md").lower())}


def test_every_setting_of_the_workflow_is_described():
    described = rows(read("config/README.md"))
    assert [name.strip("`") for name in described] == list(KEYS)


def test_every_dataset_has_its_terms():
    text = read("docs/data.md")
    named = {*re.findall(r"`([\w-]+)`", "".join(rows(text)))}
    tasks = load_plan("paper", ROOT / "ablations").scale.tasks.values()
    assert {*DATASETS} | {task.data.name for task in tasks} <= named
    assert all(terms[-1] for terms in rows(text).values())


@pytest.mark.parametrize("part", ["itself", "references"])
def test_the_citation_has_what_the_format_requires(part):
    citation = yaml.safe_load(read("CITATION.cff"))
    if part == "itself":
        assert {"cff-version", "message", "title", "authors"} <= set(citation)
        assert citation["cff-version"] == "1.2.0"
        assert citation["version"] == __version__
        assert citation["license"] == "MIT"
        assert "MIT" in read("LICENSE")
        return
    for reference in citation["references"]:
        assert {"authors", "title", "type"} <= set(reference)
        assert all({"given-names", "family-names"} == set(a) for a in reference["authors"])
        assert all({"type", "value"} <= set(each) for each in reference["identifiers"])
