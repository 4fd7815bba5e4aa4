"""What every method promises: a no-op at first, only its own parameters train, saved and loaded."""

import copy
import json

import numpy as np
import peft
import pytest
import torch
from torch import nn

from dmp.backbones import DiT
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.methods import Variant, find_method, method_names
from dmp.methods.peft_adapter import dmp_parameters
from dmp.patching import patch_of
from dmp.rng import generator
from dmp.studies import load_plan
from dmp.training import Objective

RIVALS = ["lora", "lora,rank=3", "lora,targets=all-linear", "ia3", "bitfit", "adaln", "difffit"]
ALL = [*RIVALS, "dmp", "prompt-tuning", "released", "fine-tuning", "continued", "baseline"]


def make_backbone() -> DiT:
    backbone = DiT(8, 2, 1, hidden_size=16, depth=3, num_heads=2, num_classes=4)
    backbone.initialize_weights(generator(0, "backbone initialisation"))
    source = torch.Generator().manual_seed(0)
    for parameter in backbone.parameters():  # none is zero, as in a model that has trained
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.2, generator=source)
    return backbone


def attach(name: str, backbone: nn.Module, seed: int = 0):
    variant = Variant.parse(name)
    return find_method(variant.method).attach(backbone, variant.options, seed)


def load(name: str, path, backbone: nn.Module):
    variant = Variant.parse(name)
    return find_method(variant.method).load(path, backbone, variant.options)


def predict(backbone: nn.Module) -> torch.Tensor:
    source = torch.Generator().manual_seed(1)
    x = torch.randn(5, 1, 8, 8, generator=source)
    attached = patch_of(backbone)
    if attached is not None:
        attached.eval()
    with torch.no_grad():
        return backbone.eval()(x, torch.arange(5) * 199, torch.arange(5) % 4)


def train(backbone: nn.Module, attached, steps: int = 2) -> Objective:
    objective = Objective(backbone, Diffusion("cosine"), attached)
    optimizer = torch.optim.AdamW(objective.groups(1e-2), weight_decay=0.0, fused=True)
    source = torch.Generator().manual_seed(2)
    objective.train()
    for _ in range(steps):
        x = torch.randn(4, 1, 8, 8, generator=source)
        if attached.noise_shape is not None:
            attached.set_noise(torch.randn(4, *attached.noise_shape, generator=source))
        loss = backbone(x, torch.arange(4) * 250, torch.arange(4)).square().mean()
        own = attached.losses()
        optimizer.zero_grad()
        (loss if own is None else loss + own[0]).backward()
        optimizer.step()
    return objective


def test_every_method_is_tested():
    assert {Variant.parse(name).method for name in ALL} == set(method_names())


@pytest.mark.parametrize("name", ALL)
def test_attached_backbone_is_unchanged_to_the_last_bit(name):
    backbone = make_backbone()
    before = predict(backbone)
    attach(name, backbone)
    assert torch.equal(predict(backbone), before)


@pytest.mark.parametrize("name", ALL)
def test_frozen_parameters_stay_and_the_others_change(name):
    backbone = make_backbone()
    attached = attach(name, backbone)
    if not attached.parameters():
        assert name == "baseline"
        return
    free = {n for n, p in backbone.named_parameters() if p.requires_grad}
    before = {n: p.clone() for n, p in backbone.named_parameters()}
    output = predict(backbone)
    objective = train(backbone, attached)
    assert len(objective.trainable()) == len(attached.parameters())
    for parameter_name, parameter in backbone.named_parameters():
        assert torch.equal(parameter, before[parameter_name]) == (parameter_name not in free)
    assert not torch.equal(predict(backbone), output)


@pytest.mark.parametrize("name", ALL)
def test_saved_and_loaded_predicts_the_same_bits(name, tmp_path):
    backbone = make_backbone()
    attached = attach(name, backbone, seed=3)
    if attached.parameters():
        train(backbone, attached)
    attached.save(tmp_path / "weights.safetensors", "identity")
    again = make_backbone()
    loaded = load(name, tmp_path / "weights.safetensors", again)
    assert torch.equal(predict(again), predict(backbone))
    assert loaded.backbone is again
    assert loaded.batch_losses == attached.batch_losses
    assert loaded.noise_shape == attached.noise_shape


@pytest.mark.parametrize("name", ALL)
def test_method_that_saves_a_whole_model_says_so(name):
    """MLflow keeps what others save."""
    backbone = make_backbone()
    saved = attach(name, backbone).tensors()
    method = find_method(Variant.parse(name).method)
    assert method.saves_backbone == (saved.keys() == backbone.state_dict().keys())


@pytest.mark.parametrize("name", RIVALS)
def test_weights_of_another_backbone_are_refused(name, tmp_path):
    attach(name, make_backbone()).save(tmp_path / "weights.safetensors", "identity")
    other = DiT(8, 2, 1, hidden_size=32, depth=3, num_heads=2)
    with pytest.raises(DMPError, match=r"weights\.safetensors does not hold"):
        load(name, tmp_path / "weights.safetensors", other)


@pytest.mark.parametrize("name", ["lora", "ia3"])
def test_peft_loads_what_was_saved(name, tmp_path):
    backbone = make_backbone()
    attached = attach(name, backbone)
    train(backbone, attached)
    attached.save(tmp_path / "weights.safetensors", "identity")
    config = json.loads((tmp_path / "weights.peft/adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    theirs = peft.PeftModel.from_pretrained(make_backbone(), str(tmp_path / "weights.peft"))
    assert torch.equal(predict(theirs), predict(backbone))


@pytest.mark.parametrize("name", ALL)
def test_parameters_on_meta_are_as_many(name):
    """What planning counts is what trains."""

    def shapes(attached):
        return sorted(tuple(p.shape) for p in attached.parameters())

    real = attach(name, make_backbone())
    with torch.device("meta"):
        backbone = DiT(8, 2, 1, hidden_size=16, depth=3, num_heads=2, num_classes=4)
    assert shapes(attach(name, backbone)) == shapes(real)


@pytest.mark.parametrize("name", ["lora", "dmp"])
def test_seed_alone_decides_what_is_drawn(name):
    torch.manual_seed(17)
    one = copy.deepcopy(attach(name, make_backbone(), seed=1).tensors())
    torch.manual_seed(18)
    two, other = (attach(name, make_backbone(), seed=seed).tensors() for seed in (1, 2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_lora_starts_as_peft_does():
    """A from the uniform distribution on ±1/√inputs, B from zero."""
    tensors = attach("lora,rank=64", make_backbone()).tensors()
    for name, tensor in tensors.items():
        if ".lora_B." in name:
            assert not tensor.any()
        else:
            bound = 1 / np.sqrt(tensor.shape[1])
            assert tensor.abs().max() <= bound
            assert float(tensor.std()) == pytest.approx(bound / np.sqrt(3), rel=0.1)


def test_matched_rank_has_about_as_many_parameters_as_dmp():
    backbone = make_backbone()
    wanted = dmp_parameters(backbone)
    assert predict(backbone).isfinite().all()
    attached = attach("lora", backbone)
    count = sum(p.numel() for p in attached.parameters())
    # One rank more or less: attention has 16·48 + 16·16 weights in each of three blocks.
    assert abs(count - wanted) <= 3 * (16 + 48 + 16 + 16) / 2


def test_difffit_scales_what_each_branch_adds():
    """With all factors at zero, a block adds nothing and the network is a linear read-out."""
    backbone = make_backbone()
    attached = attach("difffit", backbone)
    nn.init.zeros_(attached.module.factors)
    for block in backbone.blocks:
        tokens, condition = torch.randn(2, 16, 16), torch.randn(2, 16)
        assert torch.equal(block(tokens, condition), tokens)


def test_bitfit_trains_biases_and_nothing_else():
    backbone = make_backbone()
    attach("bitfit", backbone)
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == name.endswith(".bias")


@pytest.mark.parametrize("name", ["adaln", "difffit"])
def test_what_only_a_dit_has_is_refused_for_a_unet_before_any_compute(name, ablations):
    plan = load_plan("paper", ablations)
    with pytest.raises(DMPError, match="DiT"):
        plan.run("stable-diffusion", name, 0)
