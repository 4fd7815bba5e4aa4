"""Shared by all tests: copies of the project's own files, to be edited."""

import shutil
from pathlib import Path

# Before anything that computes is imported.
from dmp.numerics import settle

settle("portable", "the tests")

import pytest
import torch
from harness import ROOT, make_tiny
from hypothesis import HealthCheck, settings

from dmp.kernels import pin_products

pin_products()

# Tests say what is right, not how fast: machines that run them may be busy.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


torch.set_num_threads(1)  # for fixtures of whole modules


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the workflow: what takes minutes should not keep one core alone at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(autouse=True)
def one_thread():
    """Each test begins with one thread, whatever those before it have set."""
    torch.set_num_threads(1)


@pytest.fixture
def ablations(tmp_path):
    """A copy of the project's own ablations/, to be edited."""
    return Path(shutil.copytree(ROOT / "ablations", tmp_path / "ablations"))


@pytest.fixture
def tiny(ablations):
    """As ``ablations``, reduced to what runs in seconds."""
    return make_tiny(ablations)
