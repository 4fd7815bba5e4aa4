"""The U-Net of Stable Diffusion is diffusers' own, told captions by their numbers."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from small_models import SD15, randomise
from tiny_models import CaptionStates, build_unet, write_unet
from torch import Tensor

from dmp.backbones import load_patch
from dmp.backbones.unet import UNet, load_unet, unet_folder, unet_options
from dmp.config import PatchConfig, UNetConfig
from dmp.errors import DMPError
from dmp.patching import patch, patch_points

T = torch.tensor([3, 700, 999])
Y = torch.tensor([1, 4, 1])


def images() -> Tensor:
    return torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))


def test_wrapper_is_the_unet_of_diffusers_to_the_last_bit():
    model, captions = build_unet(), CaptionStates()
    expected = model.unet(images(), T, captions.states[Y]).sample
    assert torch.equal(model(images(), T, Y), expected)
    assert expected.shape == (3, 4, 8, 8)
    others = model(images(), T, torch.full_like(Y, model.null_label))
    assert torch.equal(others, model.unet(images(), T, captions.states[[5, 5, 5]]).sample)
    assert not torch.equal(others, expected)


def test_captions_are_not_part_of_the_weights():
    model = build_unet()
    assert set(model.state_dict()) == {f"unet.{name}" for name in model.unet.state_dict()}
    assert (model.null_label, model.num_classes) == (5, 5)
    assert (model.input_size, model.in_channels) == (8, 4)


def test_default_sizes_are_those_of_stable_diffusion():
    config = UNetConfig(kind="unet")
    assert unet_options(config, 64, 4) == SD15 | {"norm_num_groups": 32}
    with torch.device("meta"):
        points = patch(UNet2DConditionModel(**SD15), PatchConfig())
    assert points.noise_shape[0] == config.depth == 16
    at_stages = PatchConfig(placement="stage-inputs")
    with torch.device("meta"):
        points = patch(UNet2DConditionModel(**SD15), at_stages)
    assert points.noise_shape[0] == len(config.grids(64, "stage-inputs")) == 9


@pytest.mark.parametrize("placement", ["transformer-blocks", "stage-inputs"])
def test_grids_of_the_configuration_are_those_of_the_model(placement):
    for options in (SD15, SD15 | {"layers_per_block": 1}):
        with torch.device("meta"):
            blocks = patch_points(UNet2DConditionModel(**options)).blocks(placement)
        config = UNetConfig(kind="unet", layers_per_block=options.get("layers_per_block", 2))
        assert config.grids(64, placement) == [block.grid for block in blocks]


@pytest.mark.parametrize("placement", ["transformer-blocks", "stage-inputs"])
def test_patch_starts_as_a_no_op_and_goes_over_to_a_pipeline(placement, tmp_path):
    model = build_unet()
    before = model(images(), T, Y)
    attached = patch(model, PatchConfig(placement=placement))
    assert torch.equal(model(images(), T, Y), before)
    randomise(attached)
    patched = model(images(), T, Y)
    assert not torch.allclose(patched, before, atol=1e-3)
    attached.save(tmp_path / "patch.safetensors")
    attached.remove()
    assert torch.equal(model(images(), T, Y), before)
    load_patch(tmp_path / "patch.safetensors", model.unet)
    again = model.unet(images(), T, CaptionStates().states[Y]).sample
    assert torch.equal(again, patched)


def test_text_of_another_width_is_refused():
    with pytest.raises(DMPError, match=r"cross_attention_dim = 768, but .* have width 12"):
        UNet(UNetConfig(kind="unet"), 64, 4, CaptionStates(12))


def test_published_unet_is_loaded_from_its_folder_or_its_pipeline(tmp_path):
    write_unet(tmp_path / "pipeline/unet")
    original = UNet2DConditionModel.from_pretrained(tmp_path / "pipeline/unet")
    for name in ("pipeline", "pipeline/unet"):
        model = build_unet()
        load_unet(unet_folder(name, tmp_path), model)
        for key, value in original.state_dict().items():
            assert torch.equal(model.unet.state_dict()[key], value), key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_out_channels": (8, 24)}, r"config.json: block_out_channels = \[8, 16\], .*24"),
        ({"layers_per_block": 2}, r"layers_per_block = 1, but .* has 2"),
        ({"attention_head_dim": 4}, r"attention_head_dim = 2, but .* has 4"),
        ({"attention_stages": 2}, r"down_block_types = .*'DownBlock2D'\], but"),
    ],
)
def test_published_unet_of_other_sizes_is_refused(changes, message, tmp_path):
    write_unet(tmp_path / "unet")
    with pytest.raises(DMPError, match=message):
        load_unet(tmp_path / "unet", build_unet(**changes))


def test_what_an_older_file_does_not_say_has_the_default_of_diffusers(tmp_path):
    path = write_unet(tmp_path / "unet") / "config.json"
    described = json.loads(path.read_text())
    del described["act_fn"], described["upcast_attention"]
    path.write_text(json.dumps(described))
    load_unet(tmp_path / "unet", build_unet())
    path.write_text(json.dumps(described | {"use_linear_projection": True}))
    with pytest.raises(DMPError, match=r"use_linear_projection = True, but .* has False"):
        load_unet(tmp_path / "unet", build_unet())


def test_unet_that_is_not_finite_is_refused_and_a_compiled_one_is_not(tmp_path):
    path = write_unet(tmp_path / "unet") / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({f"_orig_mod.{name}": value for name, value in weights.items()}, path)
    model = build_unet()
    load_unet(tmp_path / "unet", model)
    assert all(torch.equal(value, weights[name]) for name, value in model.unet.state_dict().items())
    weights["conv_in.bias"][0] = float("nan")
    save_file(weights, path)
    with pytest.raises(DMPError, match=r"safetensors holds NaN or infinite .* \(conv_in\.bias\)"):
        load_unet(tmp_path / "unet", model)


def test_damaged_or_absent_weights_are_one_clear_error(tmp_path):
    folder = write_unet(tmp_path / "unet")
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DMPError, match=r"safetensors is truncated or corrupt"):
        load_unet(folder, build_unet())
    weights.unlink()
    with pytest.raises(DMPError, match=r"the folder lacks diffusion_pytorch_model.safetensors"):
        unet_folder("unet", tmp_path)
    with pytest.raises(DMPError, match=r"neither an existing folder"):
        unet_folder("no/such/folder", tmp_path)
