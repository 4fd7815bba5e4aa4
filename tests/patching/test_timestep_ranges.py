"""Prompts of their own for each range of timesteps: the control of what a gate could bring."""

import pytest
import torch
from torch import nn

from dmp.backbones import DiT
from dmp.errors import DMPError
from dmp.patching import Patch, PatchConfig, patch

STATIC = {"gate": "none", "weights": "one", "importance_weight": 0, "load_weight": 0}


def make_dit() -> DiT:
    """Random weights everywhere; freshly initialised, its output would be zero."""
    model = DiT(8, 2, 1, hidden_size=16, depth=2, num_heads=2)
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return model.eval()


def with_ranges(ranges: int) -> PatchConfig:
    return PatchConfig(**STATIC, timestep_ranges=ranges)


def call(model, timesteps):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(len(timesteps), 1, 8, 8, generator=generator)
    labels = torch.zeros(len(timesteps), dtype=torch.long)
    return model(images, torch.tensor(timesteps), labels)


def test_each_range_has_the_output_of_prompts_that_are_its_own_alone():
    """Images of four timesteps in one batch against a model for each range, patched by hand."""
    timesteps = [0, 499, 500, 999]
    model = make_dit()
    patched = patch(model, with_ranges(2))
    depth, rows, width = patched.prompts.shape
    drawn = torch.randn(depth, rows, width, generator=torch.Generator().manual_seed(1))
    patched.prompts.data.copy_(drawn)
    found = call(model, timesteps)
    for number, half in ((0, slice(0, rows // 2)), (1, slice(rows // 2, rows))):
        other = make_dit()
        alone = patch(other, PatchConfig(**STATIC))
        alone.prompts.data.copy_(drawn[:, half])
        expected = call(other, timesteps)
        of_range = slice(2 * number, 2 * number + 2)
        torch.testing.assert_close(found[of_range], expected[of_range])
        elsewhere = slice(2 - 2 * number, 4 - 2 * number)
        assert (found[elsewhere] - expected[elsewhere]).abs().max() > 1e-3


def test_they_start_as_a_no_op_and_are_read_again(tmp_path):
    model = make_dit()
    plain = call(model, [3, 800])
    patched = patch(model, with_ranges(10))
    assert torch.equal(call(model, [3, 800]), plain)
    patched.prompts.data.normal_(generator=torch.Generator().manual_seed(2))
    moved = call(model, [3, 800])
    patched.save(tmp_path / "patch.safetensors")
    other = make_dit()
    Patch.load(tmp_path / "patch.safetensors", other)
    assert torch.equal(call(other, [3, 800]), moved)


def test_more_ranges_than_timesteps_and_a_gate_are_refused():
    with pytest.raises(DMPError, match="timestep_ranges = 1001 is more than the 1000 timesteps"):
        patch(make_dit(), with_ranges(1001))
    with pytest.raises(ValueError, match="timestep_ranges = 2 is defined for gate = none"):
        PatchConfig(timestep_ranges=2)
