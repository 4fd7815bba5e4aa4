"""A patch inside diffusers' own pipelines, and a saved one in a fresh pipeline."""

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from small_models import randomise, tiny_dit, tiny_pipeline

from dmp.backbones import load_patch
from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching import patch
from dmp.tensorfile import load_tensors, save_tensors

KINDS = [("dit", {}), ("pixart", {}), ("unet", {}), ("unet", {"placement": "stage-inputs"})]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_saved_patch_gives_the_same_images_in_a_fresh_pipeline(tmp_path, kind, options):
    _, model, sample = tiny_pipeline(kind)
    plain = sample()
    assert plain.shape == (2, 8, 8, 3)
    assert plain.std() > 0.01
    attached = patch(model, PatchConfig(**options))
    assert np.array_equal(sample(), plain)  # prompts start at zero
    randomise(attached)
    images = sample()
    assert np.abs(images - plain).max() > 1e-3
    attached.save(tmp_path / "patch.safetensors")

    pipe, _, sample_fresh = tiny_pipeline(kind)
    assert np.array_equal(sample_fresh(), plain)
    loaded = load_patch(
        tmp_path / "patch.safetensors", pipe.unet if kind == "unet" else pipe.transformer
    )
    assert np.array_equal(sample_fresh(), images)
    loaded.remove()
    assert np.array_equal(sample_fresh(), plain)
    attached.remove()
    assert np.array_equal(sample(), plain)


def test_patch_follows_its_model_to_half_precision(tmp_path):
    pipe, model, _ = tiny_pipeline("dit")
    attached = patch(model, PatchConfig())
    randomise(attached)
    attached.save(tmp_path / "patch.safetensors")
    pipe.to(torch.bfloat16)
    loaded = load_patch(tmp_path / "patch.safetensors", tiny_pipeline("dit")[0].transformer)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    images = pipe([1], num_inference_steps=2, output_type="np").images
    assert np.isfinite(images).all()


def test_patch_of_another_pipeline_is_refused(tmp_path):
    _, model, _ = tiny_pipeline("unet")
    patch(model, PatchConfig()).save(tmp_path / "patch.safetensors")
    pipe, _, _ = tiny_pipeline("dit")
    with pytest.raises(DMPError, match=r"made for a backbone with .*'blocks': 4.*'blocks': 3"):
        load_patch(tmp_path / "patch.safetensors", pipe.transformer)
    with pytest.raises(DMPError, match=r"cannot patch a DiTPipeline.*pipe.transformer or pipe.u"):
        load_patch(tmp_path / "patch.safetensors", pipe)


def saved(path, kind: str = "dit", scale: float = 1.0) -> np.ndarray:
    """Save a random patch and return the images that it makes."""
    _, model, sample = tiny_pipeline(kind)
    attached = patch(model, PatchConfig())
    randomise(attached, scale)
    attached.save(path)
    return sample()


def test_a_second_patch_is_refused_or_takes_the_place_of_the_first(tmp_path):
    images = {}
    for name, scale in (("a", 1.0), ("b", 2.0)):
        images[name] = saved(tmp_path / name, scale=scale)
    assert not np.allclose(images["a"], images["b"])
    saved(tmp_path / "of-a-unet", "unet")
    pipe, model, sample = tiny_pipeline("dit")
    plain, trainable = sample(), [p.requires_grad for p in model.parameters()]
    load_patch(tmp_path / "a", pipe.transformer)
    with pytest.raises(DMPError, match=r"has a patch already; call its remove\(\), or .*replace=T"):
        load_patch(tmp_path / "b", pipe.transformer)
    with pytest.raises(DMPError, match="was made for a backbone"):
        load_patch(tmp_path / "of-a-unet", pipe.transformer, replace=True)
    assert np.array_equal(sample(), images["a"])  # both refusals left it alone
    second = load_patch(tmp_path / "b", pipe.transformer, replace=True)
    assert np.array_equal(sample(), images["b"])
    assert not any(p.requires_grad for p in model.parameters())
    second.remove()
    assert np.array_equal(sample(), plain)
    assert [p.requires_grad for p in model.parameters()] == trainable
    load_patch(tmp_path / "a", pipe.transformer)
    assert np.array_equal(sample(), images["a"])


def test_patch_without_its_tensors_is_refused_and_leaves_the_model_alone(tmp_path):
    """As a file may be that another version wrote."""
    images = saved(tmp_path / "whole")
    tensors, description = load_tensors(tmp_path / "whole")
    tensors.pop(min(tensors))
    save_tensors(tmp_path / "part", tensors, description)
    _, model, sample = tiny_pipeline("dit")
    plain = sample()
    with pytest.raises(DMPError, match="part does not hold the tensors that its own header"):
        load_patch(tmp_path / "part", model)
    assert np.array_equal(sample(), plain)
    assert all(p.requires_grad for p in model.parameters())
    load_patch(tmp_path / "whole", model)
    with pytest.raises(DMPError, match="part does not hold"):
        load_patch(tmp_path / "part", model, replace=True)
    assert np.array_equal(sample(), images)


@pytest.mark.parametrize("order", ["offload first", "patch first"])
@pytest.mark.parametrize("kind", ["dit", "unet"])
def test_patch_and_sequential_offload_come_in_either_order(tmp_path, kind, order):
    """What ``pipe.enable_sequential_cpu_offload()`` does with a model, with the CPU for a GPU."""
    images = saved(tmp_path / "patch.safetensors", kind)
    _, model, sample = tiny_pipeline(kind)
    if order == "patch first":
        load_patch(tmp_path / "patch.safetensors", model)
    cpu_offload(model, torch.device("cpu"), offload_buffers=len(model._parameters) > 0)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    if order == "offload first":
        loaded = load_patch(tmp_path / "patch.safetensors", model)
        assert {p.device.type for p in loaded.parameters()} == {"cpu"}
    assert np.array_equal(sample(), images)


def test_messages_of_loading_speak_to_somebody_who_has_a_pipeline(tmp_path):
    saved(tmp_path / "patch.safetensors")
    whole = (tmp_path / "patch.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-9])
    (tmp_path / "flipped.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    _, model, sample = tiny_pipeline("dit")
    plain = sample()
    for name, message in (
        ("absent", r"absent.safetensors does not exist; accepted: .* a patch's save\(\) wrote"),
        ("short", r"short.safetensors is truncated or corrupt .*; copy or download it again"),
        ("flipped", r"flipped.safetensors is truncated or corrupt .*; copy or download it again"),
    ):
        with pytest.raises(DMPError, match=message) as raised:
            load_patch(tmp_path / f"{name}.safetensors", model)
        for word in ("stage", "command", "has not run"):
            assert word not in str(raised.value).replace(str(tmp_path), "")
    with torch.device("meta"):
        empty = tiny_dit()
    with pytest.raises(DMPError, match=r"weights are on the device 'meta'.*load the weights first"):
        load_patch(tmp_path / "patch.safetensors", empty)
    assert np.array_equal(sample(), plain)
