"""A patch inside diffusers' own pipelines, and a saved one in a fresh pipeline."""

import numpy as np
import pytest
import torch
from small_models import randomise, tiny_pipeline

from dmp.backbones import load_patch
from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching import patch

KINDS = [("dit", {}), ("pixart", {}), ("unet", {}), ("unet", {"placement": "stage-inputs"})]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


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
    with pytest.raises(DMPError, match=r"cannot patch a DiTPipeline"):
        load_patch(tmp_path / "patch.safetensors", pipe)
