"""Weights from elsewhere mean what they meant, or are refused; nothing pickled is executed."""

import argparse
import os

import pytest
import torch
from small_models import tiny_dit
from test_dit import initialised, make_dit, make_inputs, randomised, xl2_checkpoint
from torch import nn

from dmp.backbones import DiT, dit, load_diffusers_dit, load_public_dit
from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching import Patch, patch


def public(model: DiT, path, **changes):
    """Write a model as the public checkpoints are written."""
    torch.save({**model.state_dict(), **changes}, path)
    return path


# -- the public layout -----------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("form", ["plain", "old", "training", "distributed"])
def test_public_checkpoint_gives_the_model_that_was_saved(tmp_path, form):
    model, path = randomised(), tmp_path / "DiT.pt"
    weights = model.state_dict()
    if form == "training":
        other = {name: torch.zeros_like(value) for name, value in weights.items()}
        torch.save({"model": other, "ema": weights, "args": argparse.Namespace(lr=1e-4)}, path)
    elif form == "distributed":
        torch.save({f"module.{name}": value for name, value in weights.items()}, path)
    else:
        # Before PyTorch 1.6 files were no archives, and cannot be mapped into memory.
        torch.save(weights, path, _use_new_zipfile_serialization=form == "plain")
    fresh = initialised(seed=1)
    load_public_dit(path, fresh)
    assert torch.equal(fresh(*make_inputs()), model(*make_inputs()))


def test_positions_that_a_file_lacks_are_computed(tmp_path):
    model = randomised()
    weights = model.state_dict()
    del weights["pos_embed"]
    torch.save(weights, tmp_path / "DiT.pt")
    fresh = make_dit()
    load_public_dit(tmp_path / "DiT.pt", fresh)
    assert torch.equal(fresh.pos_embed, model.pos_embed)


WRAPPED = {
    "compiled, then distributed": "module._orig_mod.{}",
    "distributed, then compiled": "_orig_mod.module.{}",
    "averaged and distributed": "module.module.{}",
    "three times": "module.module._orig_mod.module.{}",
    "a module of a trainer": "model.{}",
    "a compiled module of a trainer": "model._orig_mod.{}",
    "the average of a trainer": "ema_model.module.{}",
    "blocks compiled by themselves": "module.{}",
    "sharded": "_fsdp_wrapped_module.{}",
}


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("nested", [(), ("state_dict",), ("state_dict", "ema")])
def test_weights_are_found_whatever_wraps_them(tmp_path, form, nested):
    model, fresh = randomised(), initialised(seed=1)
    content = {}
    for name, value in model.state_dict().items():
        if form == "blocks compiled by themselves":
            name = name.replace("blocks.1.", "blocks.1._orig_mod.")
        content[WRAPPED[form].format(name)] = value
    for name in reversed(nested):
        content = {name: content, "step": 7}
    torch.save(content, tmp_path / "DiT.pt")
    load_public_dit(tmp_path / "DiT.pt", fresh)
    for name, value in model.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name


def test_what_torch_itself_saves_of_a_compiled_average_is_loaded(tmp_path):
    model, fresh = randomised(), initialised(seed=1)
    wrapped = torch.compile(torch.optim.swa_utils.AveragedModel(torch.compile(model)))
    names = wrapped.state_dict()
    assert "_orig_mod.n_averaged" in names
    assert "_orig_mod.module._orig_mod.x_embedder.proj.bias" in names
    torch.save(names, tmp_path / "DiT.pt")
    load_public_dit(tmp_path / "DiT.pt", fresh)
    assert all(torch.equal(fresh.state_dict()[n], v) for n, v in model.state_dict().items())


def test_of_a_model_and_its_average_in_one_dictionary_the_average_is_taken(tmp_path):
    model, fresh = randomised(), initialised(seed=1)
    content = {f"model.{name}": torch.zeros_like(v) for name, v in model.state_dict().items()}
    content |= {f"ema.{name}": value for name, value in model.state_dict().items()}
    torch.save(content, tmp_path / "DiT.pt")
    load_public_dit(tmp_path / "DiT.pt", fresh)
    assert all(torch.equal(fresh.state_dict()[n], v) for n, v in model.state_dict().items())


def test_two_tensors_for_one_weight_are_refused(tmp_path):
    path = public(randomised(), tmp_path / "DiT.pt", **{"module.pos_embed": torch.zeros(1)})
    message = r"two tensors for 'pos_embed': 'pos_embed' and 'module\.pos_embed'"
    with pytest.raises(DMPError, match=message):
        load_public_dit(path, make_dit())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    weights = randomised().state_dict()
    for name in ("blocks.1.attn.qkv.weight", "final_layer.linear.bias"):
        weights[name] = weights[name].double()
        weights[name].view(-1)[5] = value
    torch.save(weights, tmp_path / "DiT.pt")
    model = initialised()
    before = {name: kept.clone() for name, kept in model.state_dict().items()}
    message = (
        r"DiT\.pt holds NaN or infinite values in 2 of \d+ tensors "
        r"\(blocks\.1\.attn\.qkv\.weight, final_layer\.linear\.bias\)"
    )
    with pytest.raises(DMPError, match=message):
        load_public_dit(tmp_path / "DiT.pt", model)
    assert all(torch.equal(kept, before[name]) for name, kept in model.state_dict().items())


class Malicious:
    """Runs a command while it is being unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("archive", [True, False])
def test_pickled_code_is_refused_and_not_executed(tmp_path, archive):
    path, trace = tmp_path / "DiT.pt", tmp_path / "executed"
    content = {**randomised().state_dict(), "extra": Malicious(f"touch {trace}")}
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    with pytest.raises(DMPError, match=r"DiT\.pt holds more than tensors \(\w+\.system\).*not"):
        load_public_dit(path, make_dit())
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # it would have been


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04 half an archive", "truncated"]
)
def test_file_that_is_not_a_checkpoint_is_refused(tmp_path, content):
    if content == "truncated":
        content = public(randomised(), tmp_path / "DiT.pt").read_bytes()[:-5000]
    (tmp_path / "DiT.pt").write_bytes(content)
    with pytest.raises(DMPError, match=r"DiT\.pt is truncated or no PyTorch checkpoint"):
        load_public_dit(tmp_path / "DiT.pt", make_dit())


def test_missing_file_and_other_content_are_refused(tmp_path):
    with pytest.raises(DMPError, match=r"DiT\.pt does not exist"):
        load_public_dit(tmp_path / "DiT.pt", make_dit())
    torch.save([torch.zeros(1)], tmp_path / "DiT.pt")
    with pytest.raises(DMPError, match="holds a list"):
        load_public_dit(tmp_path / "DiT.pt", make_dit())
    public(randomised(), tmp_path / "DiT.pt", pos_embed=3)
    with pytest.raises(DMPError, match="'pos_embed' is a int; a tensor is needed"):
        load_public_dit(tmp_path / "DiT.pt", make_dit())


def test_checkpoint_of_another_size_is_named(tmp_path):
    with torch.device("meta"):
        large, extra_large = dit("L", 2, 32, 4, 1000, 0.1), dit("XL", 2, 32, 4, 1000, 0.1)
    # One number, shown in every shape: the file is small.
    weights = {n: torch.zeros(()).expand(v.shape) for n, v in large.state_dict().items()}
    torch.save(weights, tmp_path / "DiT.pt")
    message = (
        r"DiT\.pt: 'pos_embed' has shape \(1, 256, 1024\), the model's has \(1, 256, 1152\); "
        r"this file holds a DiT-L/2 \(1024 wide, 24 blocks, patch 2, 4 channels, 256 tokens, "
        r"1001 labels\), the model is a DiT-XL/2 \(1152 wide, 28 blocks"
    )
    with pytest.raises(DMPError, match=message):
        load_public_dit(tmp_path / "DiT.pt", extra_large)


def test_checkpoint_of_another_depth_or_with_unknown_keys_is_refused(tmp_path):
    path = public(randomised(), tmp_path / "DiT.pt")
    message = r"10 keys are missing \(blocks\.2\..*holds a DiT \(16 wide, 2 blocks"
    with pytest.raises(DMPError, match=message):
        load_public_dit(path, make_dit(depth=3))
    public(randomised(), path, surprise=torch.zeros(1))
    with pytest.raises(DMPError, match=r"0 keys are missing \(none\), 1 are unknown \(surprise\)"):
        load_public_dit(path, make_dit())


@torch.no_grad()
def test_xl2_loads_a_file_of_the_public_layout_and_runs_patched(tmp_path):
    """At real size: 675 million parameters; all weights are views of one random vector."""
    torch.set_num_threads(2)
    numbers = torch.randn(6912 * 1152, generator=torch.Generator().manual_seed(0)) * 0.02
    weights = {}
    for name, shape in xl2_checkpoint().items():
        size = torch.Size(shape).numel()
        weights[name] = numbers[:size].view(shape)
    torch.save(weights, tmp_path / "DiT-XL-2-256x256.pt")
    with torch.device("meta"):
        model = dit("XL", 2, 32, 4, 1000, 0.1)
    model.to_empty(device="cpu")
    load_public_dit(tmp_path / "DiT-XL-2-256x256.pt", model)
    assert all(torch.equal(v, weights[n]) for n, v in model.state_dict().items())
    image, t, y = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(1)), 500, 207
    inputs = image, torch.tensor([t]), torch.tensor([y])
    plain = model(*inputs)
    attached = patch(model, PatchConfig())
    assert torch.equal(model(*inputs), plain)
    nn.init.normal_(attached.prompts, std=10.0, generator=torch.Generator().manual_seed(2))
    output = model(*inputs)
    assert output.shape == (1, 8, 32, 32)
    assert torch.isfinite(output).all()
    assert not torch.allclose(output, plain)


# -- diffusers' layout -----------------------------------------------------------------------------


def diffusers_model(**changes):
    """A tiny DiT of diffusers whose blocks embed the timestep alike, as the public DiT's do."""
    model = tiny_dit(num_embeds_ada_norm=5, **changes)
    for block in model.transformer_blocks[1:]:
        block.norm1.emb.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    return model


def our_model(**changes) -> DiT:
    options = {"hidden_size": 16, "depth": 3, "num_heads": 2, "num_classes": 5} | changes
    return DiT(8, 2, 4, class_dropout_prob=0.1, **options)


def align(model) -> None:
    """Give diffusers' model the two constants of the public DiT."""
    for block in model.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
        block.norm3.eps = 1e-6


INPUTS = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
T, Y = torch.tensor([0, 300, 999]), torch.tensor([0, 5, 2])


@torch.no_grad()
@pytest.mark.parametrize("form", ["safetensors", "pipeline", "shards", "bin"])
def test_imported_diffusers_dit_agrees_with_diffusers(tmp_path, form):
    theirs = diffusers_model()
    folder = tmp_path / "transformer" if form == "pipeline" else tmp_path
    if form == "bin":
        theirs.save_config(folder)
        torch.save(theirs.state_dict(), folder / "diffusion_pytorch_model.bin")
    else:
        theirs.save_pretrained(folder, max_shard_size="20KB" if form == "shards" else "1GB")
    assert (len(list(folder.glob("*.safetensors"))) > 1) == (form == "shards")
    ours = our_model()
    load_diffusers_dit(tmp_path, ours)
    align(theirs)
    ours, theirs, x = ours.double().eval(), theirs.double().eval(), INPUTS.double()
    expected = theirs(x, timestep=T, class_labels=Y).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(x, T, Y), expected, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_one_patch_serves_our_dit_and_diffusers(tmp_path):
    theirs = diffusers_model()
    theirs.save_pretrained(tmp_path)
    ours = our_model().eval()
    load_diffusers_dit(tmp_path, ours)
    align(theirs)
    plain = ours(INPUTS, T, Y)
    attached = patch(ours, PatchConfig())
    for parameter in attached.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))
    attached.save(tmp_path / "patch.safetensors")
    Patch.load(tmp_path / "patch.safetensors", theirs)
    output = ours(INPUTS, T, Y)
    assert not torch.allclose(output, plain, atol=1e-2)
    actual = theirs(INPUTS, timestep=T, class_labels=Y).sample
    torch.testing.assert_close(actual, output, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("part", ["attn1.to_q.bias", "norm1.emb.timestep_embedder.linear_1.bias"])
def test_diffusers_dit_that_is_not_finite_is_refused(tmp_path, part):
    theirs = diffusers_model()
    for block in theirs.transformer_blocks:
        block.get_parameter(part)[0] = float("nan")
    theirs.save_pretrained(tmp_path)
    with pytest.raises(DMPError, match=r"safetensors holds NaN or infinite values in [13] of"):
        load_diffusers_dit(tmp_path, our_model())


def test_diffusers_dit_of_another_kind_is_refused(tmp_path):
    theirs = diffusers_model()
    theirs.save_pretrained(tmp_path)
    with pytest.raises(DMPError, match=r"config\.json: num_attention_heads = 2; .* has 4"):
        load_diffusers_dit(tmp_path, our_model(num_heads=4))
    with pytest.raises(DMPError, match=r"has shape .*this file holds a DiT \(16 wide, 3 blocks"):
        load_diffusers_dit(tmp_path, our_model(num_classes=7))
    with pytest.raises(DMPError, match=r"unknown \(blocks\.2\."):
        load_diffusers_dit(tmp_path, our_model(depth=2))
    with torch.no_grad():
        theirs.transformer_blocks[1].norm1.emb.timestep_embedder.linear_1.bias.add_(1)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(DMPError, match=r"linear_1\.bias' is not the same in all blocks"):
        load_diffusers_dit(tmp_path, our_model())


def test_incomplete_diffusers_folder_is_refused(tmp_path):
    theirs = diffusers_model()
    with pytest.raises(DMPError, match=r"config\.json does not exist"):
        load_diffusers_dit(tmp_path, our_model())
    theirs.save_config(tmp_path)
    with pytest.raises(DMPError, match=r"has no diffusion_pytorch_model\.safetensors"):
        load_diffusers_dit(tmp_path, our_model())
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"half")
    with pytest.raises(DMPError, match=r"safetensors is truncated or corrupt"):
        load_diffusers_dit(tmp_path, our_model())
    weights = theirs.state_dict()
    del weights["transformer_blocks.1.attn1.to_k.weight"]
    torch.save(weights, tmp_path / "diffusion_pytorch_model.bin")
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(DMPError, match=r"1 keys are missing \(blocks\.1\.attn\.qkv\.weight\)"):
        load_diffusers_dit(tmp_path, our_model())
