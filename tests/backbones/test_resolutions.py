"""Images of another shape than in training, in models that take them."""

import numpy as np
import pytest
import torch
from small_models import call, randomise, tiny_pixart, tiny_unet
from test_diffusers_models import inputs_of
from timm.layers import resample_abs_pos_embed

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching import patch, patch_points


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 16), (16, 8), (24, 16)])
@pytest.mark.parametrize("placement", ["transformer-blocks", "stage-inputs"])
def test_rows_and_columns_are_those_of_the_image(size, placement):
    builders = [tiny_unet] if placement == "stage-inputs" else [tiny_unet, tiny_pixart]
    for build in builders:
        model, before, after = build(), {}, {}
        blocks = patch_points(model).placements[placement]
        inputs_of(blocks, before)
        attached = patch(model, PatchConfig(placement=placement, resize="bicubic"))
        inputs_of(blocks, after)
        randomise(attached)
        call(model, height=size[0], width=size[1])
        for i, block in enumerate(blocks):
            grid = [edge * block.grid // 8 for edge in size]
            weighted = attached.weights()[i][:, :, None] * attached.prompts[i]
            edges = [block.grid, block.grid]
            # One image at a time: timm takes one set of positions.
            added = torch.cat([resample_abs_pos_embed(w[None], grid, edges, 0) for w in weighted])
            if block.feature_map:
                added = added.unflatten(1, grid).permute(0, 3, 1, 2)
            np.testing.assert_allclose(after[i] - before[i], added, atol=2e-5)


@torch.no_grad()
def test_another_resolution_is_refused_by_default():
    model = tiny_pixart()
    patch(model, PatchConfig())
    message = r"block 0 got tokens of shape \(2, 32, 16\), a grid of 4 x 8; .*resize = bicubic"
    with pytest.raises(DMPError, match=message):
        call(model, height=8, width=16)
    model = tiny_unet()
    patch(model, PatchConfig(placement="stage-inputs"))
    with pytest.raises(DMPError, match=r"a feature map of shape \(2, 8, 8, 16\).*8 x 8"):
        call(model, height=8, width=16)


@torch.no_grad()
def test_as_many_tokens_in_another_shape_are_not_taken_for_the_same():
    model = tiny_pixart()
    patch(model, PatchConfig())
    with pytest.raises(DMPError, match=r"a grid of 2 x 8; the prompts are made for 16 tokens"):
        call(model, height=4, width=16)
