"""Which code computed a number, or why that is not known."""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from dmp.reporting.notes import unknown_code
from dmp.stages import provenance
from dmp.stages.provenance import commit_of_code


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def code(tmp_path) -> Path:
    """A file in a checkout."""
    path = tmp_path / "checkout/code.py"
    path.parent.mkdir()
    path.write_text("a = 1\n")
    git(path.parent, "init", "--quiet")
    git(path.parent, "add", ".")
    git(path.parent, "commit", "--quiet", "--message", "first")
    return path


def test_commit_and_edits_are_known(code):
    head = git(code.parent, "rev-parse", "HEAD")[:12]
    assert commit_of_code(code) == (head, False, "")
    code.write_text("a = 2\n")
    assert str(commit_of_code(code)) == f"{head}-dirty"


def test_checkout_of_somebody_else_is_asked_as_well(code):
    if os.getuid() != 0:
        pytest.skip("giving files to somebody else needs to be root")
    head = git(code.parent, "rev-parse", "HEAD")[:12]
    for path in (code.parent, *code.parent.rglob("*")):
        os.chown(path, 12345, 12345)
    assert commit_of_code(code).commit == head


def test_variables_of_git_lead_to_no_other_repository(code, monkeypatch, tmp_path):
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert not commit_of_code(code).why


def test_repository_around_that_is_of_something_else_is_not_asked(code):
    inside = code.parent / "site-packages/code.py"
    inside.parent.mkdir()
    inside.write_text("")
    found = commit_of_code(inside)
    assert (found.commit, found.dirty) == ("unknown", None)
    assert "is not part of the git checkout around it" in found.why


def test_why_it_is_not_known_is_said(code, monkeypatch, tmp_path):
    shutil.rmtree(code.parent / ".git")
    assert "is not in a git checkout" in commit_of_code(code).why
    git(code.parent, "init", "--quiet")
    git(code.parent, "add", ".")
    assert commit_of_code(code).why == "the git checkout has no commit yet"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of_code(code).why == "git is not installed"


def test_package_that_is_not_there_costs_no_run():
    assert provenance._version("not-a-package-of-any-kind") == "not installed"


def test_page_says_of_how_many_runs_it_is_not_known():
    rows = pd.DataFrame(
        {"task": "t", "variant": "dmp", "seed": [0, 0, 1, 2],
         "commit": ["abc", "abc", "unknown", "unknown"]}
    )  # fmt: skip
    assert unknown_code(rows[:2]) == []
    (note,) = unknown_code(rows)
    assert note.startswith("Of 2 of these 3 runs it is not known which commit")
    assert "t/dmp/seed1" in note
