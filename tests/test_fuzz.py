"""A damaged file is refused, or read as what it was; ``make fuzz`` tries twenty times as many."""

import tempfile
from pathlib import Path

import pytest
from fuzz_kinds import KINDS
from fuzzing import fuzz, memory

COUNT = 1000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged_files_are_refused_or_read_as_they_were(kind, monkeypatch):
    # What is written need not outlive the machine.
    monkeypatch.setattr("os.fsync", lambda _: None)
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        tally = fuzz(kind, Path(folder) / "files", COUNT)
    assert tally.refused > COUNT / 4 or not kind.exact
