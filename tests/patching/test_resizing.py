"""Prompts on another grid than the tokens': coarser by choice, or at another resolution."""

import numpy as np
import pytest
import torch
from test_patch import TOKENS, WIDTH, make_backbone, make_inputs, patched, randomise
from timm.layers import resample_abs_pos_embed
from torch import nn

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching import Patch, patch
from dmp.patching.resizing import resize

EDGE = 4  # of the small backbone's grid


def as_positions(values: torch.Tensor, grid: tuple, edge: int, mode: str = "bicubic"):
    """What timm makes of position embeddings, one image at a time."""
    smooth = {"interpolation": mode, "antialias": mode != "nearest"}
    edges = [edge, edge]
    resized = [resample_abs_pos_embed(v[None], list(grid), edges, 0, **smooth) for v in values]
    return torch.cat(resized)


def prompts(edge: int = EDGE, batch: tuple = (2,)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*batch, edge**2, 3, generator=generator)


@pytest.mark.parametrize("grid", [(8, 8), (6, 10), (3, 2), (7, 4)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_prompts_are_resized_as_position_embeddings_are(grid, mode):
    expected = as_positions(prompts(), grid, EDGE, mode)
    torch.testing.assert_close(resize(prompts(), EDGE, grid, mode), expected)
    alone = prompts(batch=())
    assert torch.equal(resize(alone, EDGE, grid, mode), resize(alone[None], EDGE, grid, mode)[0])


def test_nearest_prompts_serve_blocks_of_tokens_of_one_size():
    values = prompts()
    images = values.reshape(2, EDGE, EDGE, 3).numpy()
    expected = np.kron(images, np.ones((1, 2, 3, 1), np.float32)).reshape(2, -1, 3)
    assert np.array_equal(resize(values, EDGE, (8, 12), "nearest").numpy(), expected)
    for grid in ((6, 8), (8, 6), (2, 2)):
        with pytest.raises(DMPError, match=f"4 x 4 prompts over {grid[0]} x {grid[1]} tokens"):
            resize(values, EDGE, grid, "nearest")


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_on_their_own_grid_prompts_stay_as_they_are(mode):
    values = prompts()
    assert resize(values, EDGE, (EDGE, EDGE), mode) is values


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_means_are_kept(mode):
    """What is the same everywhere stays so; a smooth field keeps its mean."""
    same = torch.full((1, EDGE**2, 3), 0.7)
    torch.testing.assert_close(resize(same, EDGE, (8, 8), mode), torch.full((1, 64, 3), 0.7))
    ramp = torch.arange(EDGE).repeat(EDGE).double()[None, :, None]
    mean = float(resize(ramp, EDGE, (8, 8), mode).mean())
    assert mean == pytest.approx(float(ramp.mean()))


# -- a coarser grid --------------------------------------------------------------------------------


def record_first_input(model: nn.Module, seen: list[np.ndarray]) -> None:
    """Record the input of the first block: as hooks run in turn, before the patch or after it."""
    model.blocks[0].register_forward_pre_hook(lambda _, x: seen.append(x[0].detach().numpy()))


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("gate", ["linear", "none"])
def test_prompts_of_a_grid_are_weighted_and_then_resized(mode, gate):
    model = make_backbone()
    none = {"weights": "one", "importance_weight": 0, "load_weight": 0} if gate == "none" else {}
    seen = []
    record_first_input(model, seen)
    attached = patch(model, PatchConfig(grid=2, resize=mode, gate=gate, **none))
    record_first_input(model, seen)
    randomise(attached)
    assert attached.prompts.shape == (3, 4, WIDTH)
    with torch.no_grad():
        model(*make_inputs())
        weights = attached.weights()[0] if gate == "linear" else torch.ones(5, 4)
        expected = as_positions(weights[:, :, None] * attached.prompts[0], (4, 4), 2, mode)
    np.testing.assert_allclose(seen[1] - seen[0], expected.numpy(), atol=1e-5)
    if gate == "linear":
        np.testing.assert_allclose(weights.sum(dim=1), np.ones(5), rtol=1e-5)


# -- another resolution ----------------------------------------------------------------------------


def saved(tmp_path, **options):
    _, attached = patched(PatchConfig(**options))
    attached.save(tmp_path / "patch.safetensors")
    return tmp_path / "patch.safetensors", attached


def test_patch_of_another_resolution_is_refused_unless_it_may_be_resized(tmp_path):
    path, _ = saved(tmp_path)
    with pytest.raises(DMPError, match=r"made for a backbone with .*'num_tokens': 16.*: 64"):
        Patch.load(path, make_backbone(size=16))
    with pytest.raises(DMPError, match=r"made for a backbone with .*'blocks': 3.*'blocks': 2"):
        Patch.load(path, make_backbone(depth=2, size=16), resize="bicubic")
    with pytest.raises(DMPError, match="'resize' = 'cubic'"):
        Patch.load(path, make_backbone(size=16), resize="cubic")


@pytest.mark.parametrize("when", ["training", "loading"])
def test_patch_is_interpolated_to_another_resolution(tmp_path, when):
    path, attached = saved(tmp_path, **({"resize": "bicubic"} if when == "training" else {}))
    model, seen = make_backbone(size=16), []
    record_first_input(model, seen)
    loaded = Patch.load(path, model, resize="bicubic" if when == "loading" else None)
    loaded.keep_weights = True
    record_first_input(model, seen)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        x, t = torch.randn(2, 1, 16, 16, generator=generator), torch.tensor([5, 900])
        model(x, t, torch.zeros(2).long())
        weighted = loaded.weights()[0][:, :, None] * attached.prompts[0]
        expected = as_positions(weighted, (8, 8), 4)
    np.testing.assert_allclose(seen[1] - seen[0], expected.numpy(), atol=1e-5)
    assert loaded.weights()[0].shape == (2, TOKENS)


def test_resizable_patch_changes_no_bit_at_the_resolution_of_training(tmp_path):
    path, _ = saved(tmp_path)
    outputs = []
    for mode in (None, "bicubic", "nearest"):
        model = make_backbone()
        Patch.load(path, model, resize=mode)
        outputs.append(model(*make_inputs()))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


# -- what cannot be --------------------------------------------------------------------------------


def test_grid_that_does_not_divide_the_tokens_is_refused_for_blocks_of_one_size():
    with pytest.raises(DMPError, match="3 x 3 prompts over 4 x 4 tokens"):
        patch(make_backbone(), PatchConfig(grid=3, resize="nearest"))
