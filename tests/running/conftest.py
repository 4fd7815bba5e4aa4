from pathlib import Path

import pytest


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Write a program that does what a script says, found before any other."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write
