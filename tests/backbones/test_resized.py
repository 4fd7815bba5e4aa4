"""A DiT for images of another size: the same weights, positions stretched over the image."""

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from torch import nn

from dmp.backbones import DiT
from dmp.errors import DMPError


def model() -> DiT:
    found = DiT(16, 2, 1, hidden_size=16, depth=2, num_heads=2)
    generator = torch.Generator().manual_seed(0)
    for parameter in found.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    found.pos_embed.data = torch.as_tensor(found.positions(), dtype=torch.float32)[None]
    return found.eval()


def inputs(edge: int):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 1, edge, edge, generator=generator)
    return x, torch.tensor([3, 500, 999]), torch.zeros(3, dtype=torch.int64)


def test_of_its_own_size_it_computes_the_same_bits():
    with torch.no_grad():
        assert torch.equal(model().resized(16)(*inputs(16)), model()(*inputs(16)))


@pytest.mark.parametrize("edge", [12, 20])
def test_tokens_stand_where_they_did_in_the_image(edge):
    resized = model().resized(edge)
    assert resized(*inputs(edge)).shape == (3, 2, edge, edge)
    assert (resized.grid, resized.num_tokens) == (edge // 2, edge**2 // 4)
    # Token (i, j) is at the share i / grid of the height: that of 8 tokens is 8 i / grid.
    expected = get_2d_sincos_pos_embed(16, edge // 2, base_size=8)
    np.testing.assert_allclose(resized.pos_embed[0].detach(), expected, atol=1e-6)
    back = model().positions()
    if edge == 20:  # the corner, and the middle, which is token 5 of 10 and token 4 of 8
        np.testing.assert_allclose(resized.pos_embed[0, 0].detach(), back[0], atol=1e-6)
        np.testing.assert_allclose(resized.pos_embed[0, 55].detach(), back[36], atol=1e-6)


def test_the_original_stays_as_it_is():
    original = model()
    resized = original.resized(12)
    with torch.no_grad():
        next(resized.blocks.parameters()).add_(1)
        assert torch.equal(original(*inputs(16)), model()(*inputs(16)))


def test_size_that_the_patch_does_not_divide_is_refused():
    with pytest.raises(DMPError, match="patch_size = 2 does not divide 13"):
        model().resized(13)
