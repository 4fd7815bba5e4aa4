"""Shared by the tests of published results."""

import pytest

from dmp.stages import claims, rebuild


@pytest.fixture(scope="module")
def in_this_process():
    """Other processes take seconds to start, as do figures; both have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuild, "_share", lambda tasks: [task() for task in tasks])
        patch.setattr(claims, "write_figure", lambda figure, path: None)
        yield
