import pytest
from harness import ROOT

from dmp.studies import load_plan


@pytest.fixture(scope="module")
def plan():
    return load_plan("smoke", ROOT / "ablations")


@pytest.fixture(scope="module")
def digits():
    return load_plan("digits", ROOT / "ablations")
