"""On a GPU fused attention is repeatable in training, where nothing else would be an error."""

import pytest
import torch
from small_training import make_objective

from dmp.config import PatchConfig
from dmp.training.repeatable import repeatable


@pytest.fixture
def gpu(monkeypatch):
    """Pretends that there is a GPU, in a job that has set up torch."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def is_strict(config: PatchConfig | None) -> bool:
    with repeatable(make_objective(config)):
        strict = not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    return strict


def test_dit_is_trained_with_operations_that_can_be_repeated(gpu):
    assert is_strict(None)
    assert is_strict(PatchConfig())
    assert is_strict(PatchConfig(grid=1, resize="nearest"))


def test_interpolation_which_cannot_be_repeated_stays_a_warning(gpu):
    assert not is_strict(PatchConfig(grid=1, resize="bilinear"))


def test_setting_comes_back_after_a_failure(gpu):
    with pytest.raises(ZeroDivisionError), repeatable(make_objective(None)):
        raise ZeroDivisionError
    assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_nothing_is_changed_outside_of_jobs_and_without_a_gpu(gpu, monkeypatch):
    torch.use_deterministic_algorithms(False)
    with repeatable(make_objective(None)):
        assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not is_strict(None)
