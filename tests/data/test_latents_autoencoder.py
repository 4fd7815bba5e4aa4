"""Loading an autoencoder: checked before use, offline honoured; decoding in bounded batches."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import write_autoencoder

from dmp.config import LatentsConfig
from dmp.data.autoencoder import load_autoencoder
from dmp.errors import DMPError

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_autoencoder(tmp_path_factory.mktemp("autoencoder") / "tiny")


@pytest.fixture
def copy(folder, tmp_path):
    """An autoencoder that a test may change."""
    return shutil.copytree(folder, tmp_path / "copy")


def config(folder, **changes) -> LatentsConfig:
    return LatentsConfig(autoencoder=str(folder), **changes)


def rewrite(folder, change) -> None:
    """Apply ``change`` to the weights by name."""
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


@torch.no_grad()
def test_decoding_divides_by_the_scaling_and_is_diffusers_own(folder):
    from diffusers import AutoencoderKL

    latents = torch.randn(3, 4, 2, 2)
    # Frozen as here: torch takes other kernels, which round otherwise, for weights that train.
    model = AutoencoderKL.from_pretrained(folder).requires_grad_(False)
    oracle = model.decode(latents / 0.18215).sample.clamp(-1, 1)
    assert torch.equal(load_autoencoder(config(folder)).decode(latents), oracle)


def test_decoding_holds_one_batch_at_a_time(folder, monkeypatch):
    autoencoder = load_autoencoder(config(folder, batch_size=2))
    sizes, decode = [], autoencoder._model.decode
    monkeypatch.setattr(autoencoder._model, "decode", lambda x: sizes.append(len(x)) or decode(x))
    assert len(autoencoder.decode(torch.randn(5, 4, 2, 2))) == 5
    assert sizes == [2, 2, 1]


def test_identity_is_of_weights_and_configuration_not_of_the_place(folder, copy):
    identity = load_autoencoder(config(folder)).identity
    assert load_autoencoder(config(copy)).identity == identity
    rewrite(copy, lambda weights: weights["encoder.conv_in.bias"][0].add_(1e-3))
    assert load_autoencoder(config(copy)).identity != identity


def test_weights_that_are_not_finite_are_refused(copy):
    rewrite(copy, lambda weights: weights["decoder.conv_in.bias"][1].fill_(torch.nan))
    with pytest.raises(DMPError, match=r"latents.autoencoder: .*\(decoder\.conv_in\.bias\)"):
        load_autoencoder(config(copy))


def test_images_that_are_not_finite_are_refused_and_latents_given_back(folder):
    autoencoder = load_autoencoder(config(folder))
    with pytest.raises(DMPError, match=r"infinite pixels of latents that lie between .*3e\+38"):
        autoencoder.decode(torch.full((1, 4, 2, 2), 3e38))
    # What a model that has diverged makes is no fault of the autoencoder's.
    assert autoencoder.decode(torch.full((1, 4, 2, 2), torch.nan)).isnan().all()


def test_half_precision_weights_are_computed_with_in_float32(copy):
    rewrite(copy, lambda weights: weights.update({k: v.half() for k, v in weights.items()}))
    assert load_autoencoder(config(copy)).decode(torch.randn(1, 4, 2, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": 8}, r"latents\.channels = 4, but the autoencoder .* has 8"),
        ({"levels": 3}, r"latents\.factor = 8, but the autoencoder .* has 4"),
        ({"scaling": 0.13025}, r"latents\.scaling = 0\.18215, but the autoencoder .* has 0\.13025"),
    ],
)
def test_an_autoencoder_that_does_not_fit_is_refused(tmp_path, wrong, message):
    with pytest.raises(DMPError, match=message):
        load_autoencoder(config(write_autoencoder(tmp_path / "other", **wrong)))


def test_weights_that_are_not_in_the_file_are_never_random(copy):
    rewrite(copy, lambda weights: weights.pop("encoder.conv_in.bias"))
    with pytest.raises(DMPError, match=r"1 are missing .*encoder\.conv_in\.bias"):
        load_autoencoder(config(copy))


def test_damaged_or_foreign_files_are_refused(copy):
    path = copy / WEIGHTS
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DMPError, match=r"the model in .* cannot be loaded"):
        load_autoencoder(config(copy))
    (copy / "config.json").write_text(json.dumps({"_class_name": "VQModel"}))
    with pytest.raises(DMPError, match="describes a model of kind VQModel, not AutoencoderKL"):
        load_autoencoder(config(copy))
    path.rename(copy / "diffusion_pytorch_model.bin")  # a pickle is not looked at
    with pytest.raises(DMPError, match=r"lacks diffusion_pytorch_model\.safetensors"):
        load_autoencoder(config(copy))


def test_offline_error_names_files_repository_and_remedies(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DMPError) as caught:
        load_autoencoder(LatentsConfig(autoencoder="stabilityai/sd-vae-ft-mse"))
    for part in (
        "latents.autoencoder = 'stabilityai/sd-vae-ft-mse'",
        "offline, since HF_HUB_OFFLINE is set",
        "config.json, diffusion_pytorch_model.safetensors",
        "https://huggingface.co/stabilityai/sd-vae-ft-mse",
        "hf download stabilityai/sd-vae-ft-mse config.json diffusion_pytorch_model.safetensors",
        "a folder",
    ):
        assert part in str(caught.value)


def test_a_name_that_cannot_be_on_the_hub_is_said_to_be_neither():
    with pytest.raises(
        DMPError, match="neither an existing folder nor a public name on the Hugging Face"
    ):
        load_autoencoder(config("/nowhere/at/all"))
