"""Patches on diffusers' models: where prompts go in, what the gate reads, how many there are."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from small_models import MODELS, SD15, T, call, randomise, tiny_dit, tiny_pixart, tiny_unet
from torch import nn

from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.patching import Patch, patch, patch_points
from dmp.patching.losses import balancing
from dmp.patching.weights import Weighting

PLACEMENTS = [(kind, "transformer-blocks") for kind in MODELS] + [("unet", "stage-inputs")]
STAGES = PatchConfig(placement="stage-inputs")


def count(parameters) -> int:
    return sum(p.numel() for p in parameters)


def time_embedding(model: nn.Module, t: torch.Tensor) -> torch.Tensor:
    """The timestep's embedding, from the model's layers one by one."""
    if isinstance(model, UNet2DConditionModel):
        waves, layers = model.time_proj(t), model.time_embedding
    else:
        parent = model.adaln_single if hasattr(model, "adaln_single") else None
        embedder = (parent or model.transformer_blocks[0].norm1).emb
        waves, layers = embedder.time_proj(t), embedder.timestep_embedder
    return layers.linear_2.forward(torch.nn.functional.silu(layers.linear_1.forward(waves)))


def inputs_of(blocks: list, seen: dict) -> None:
    """Record each block's input; of two such recordings the first sees it before the patch."""
    for index, block in enumerate(blocks):

        def record(_, inputs, named, index=index):
            value = inputs[0] if inputs else named["hidden_states"]
            seen[index] = value.detach().numpy().copy()

        block.module.register_forward_pre_hook(record, with_kwargs=True)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "placement"), PLACEMENTS)
def test_every_block_gets_equation_5(kind, placement):
    """The oracle is NumPy, with the block's place in the order of execution as its index."""
    model, before, after = MODELS[kind](), {}, {}
    blocks = patch_points(model).placements[placement]
    inputs_of(blocks, before)
    attached = patch(model, PatchConfig(placement=placement))
    inputs_of(blocks, after)
    randomise(attached)
    call(model)
    assert list(before) == list(range(len(blocks)))  # in the order of execution
    t = time_embedding(model, T).numpy()
    for i, block in enumerate(blocks):
        several = isinstance(attached.gate, nn.ModuleDict)
        linear = (attached.gate[str(block.num_tokens)] if several else attached.gate).linear
        fed = np.column_stack([t, np.full(2, i)])
        e = np.exp(fed @ linear.weight.numpy().T + linear.bias.numpy())
        weights = e / e.sum(axis=1, keepdims=True)
        added = weights[:, :, None] * attached.prompts[i].numpy()
        if block.feature_map:
            added = added.reshape(2, block.grid, block.grid, -1).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(after[i] - before[i], added, atol=2e-5)
        np.testing.assert_allclose(attached.weights()[i].numpy(), weights, atol=2e-5)
        assert np.abs(added).max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize(("kind", "placement"), PLACEMENTS)
def test_zero_prompts_change_no_bit_and_removal_restores_every_bit(kind, placement):
    model = MODELS[kind]()
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    output = call(model)
    attached = patch(model, PatchConfig(placement=placement))
    assert torch.equal(call(model), output)
    randomise(attached)
    assert not torch.allclose(call(model), output)
    attached.remove()
    assert torch.equal(call(model), output)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == trainable
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(("kind", "placement"), PLACEMENTS)
def test_only_the_patch_trains_and_all_of_it_does(kind, placement):
    model = MODELS[kind]()
    attached = patch(model, PatchConfig(placement=placement))
    randomise(attached)
    (call(model).square().mean() + attached.balancing()[0]).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None and p.grad.any() for p in attached.parameters())


@torch.no_grad()
def test_one_timestep_for_the_batch_is_the_same_as_one_for_each_image():
    for kind, single in (("unet", 700), ("unet", torch.tensor(700)), ("dit", torch.tensor([700]))):
        model = MODELS[kind]()
        randomise(patch(model, PatchConfig()))
        each = call(model, torch.tensor([700, 700]))
        torch.testing.assert_close(call(model, single), each, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", MODELS)
def test_permuted_gate_is_told_another_time(kind):
    model = MODELS[kind]()
    attached = patch(model, PatchConfig(gate_timestep="permuted", selection="uniform"))
    randomise(attached)
    call(model)
    several = isinstance(attached.gate, nn.ModuleDict)
    for gate, weights in zip(attached._gates, attached.weights(), strict=True):
        fed = time_embedding(model, attached.permutation[T])
        torch.testing.assert_close(weights, gate.linear(fed).softmax(1))
    assert several == (kind == "unet")


# -- Stable Diffusion v1.5 -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sd15():
    with torch.device("meta"):
        return UNet2DConditionModel(**SD15)


@pytest.mark.parametrize(
    ("options", "prompts", "added", "share"),
    [
        ({"gate": "none", "weights": "one", "importance_weight": 0, "load_weight": 0},
         11_550_720, 11_550_720, "1.34 %"),
        ({}, 11_550_720, 18_524_800, "2.16 %"),
        ({"placement": "stage-inputs", "gate": "none", "weights": "one", "importance_weight": 0,
          "load_weight": 0}, 6_307_840, 6_307_840, "0.73 %"),
        ({"grid": 16, "resize": "bicubic", "gate": "none", "weights": "one",
          "importance_weight": 0, "load_weight": 0}, 3_194_880, 3_194_880, "0.37 %"),
    ],
)  # fmt: skip
def test_parameter_counts_of_stable_diffusion(sd15, options, prompts, added, share):
    attached = patch(sd15, PatchConfig(**options))
    backbone = count(sd15.parameters())
    assert f"{backbone / 1e6:.1f}" == "859.5"
    assert count(attached.prompt_parameters()) == prompts
    assert count(attached.parameters()) == added
    assert f"{100 * added / backbone:.2f} %" == share
    attached.remove()


def test_places_in_stable_diffusion(sd15):
    points = patch_points(sd15)
    tokens = [(block.grid, block.width) for block in points.placements["transformer-blocks"]]
    down = [(64, 320)] * 2 + [(32, 640)] * 2 + [(16, 1280)] * 2
    up = [(16, 1280)] * 3 + [(32, 640)] * 3 + [(64, 320)] * 3
    assert tokens == [*down, (8, 1280), *up]
    stages = [(block.grid, block.width) for block in points.placements["stage-inputs"]]
    assert stages == [
        *[(64, 320), (32, 320), (16, 640), (8, 1280)],
        (8, 1280),
        *[(8, 1280), (16, 1280), (32, 1280), (64, 640)],
    ]


def test_what_the_paper_does_not_say_is_labelled_inferred():
    assert "inferred" in patch(tiny_unet(), PatchConfig()).describe()["inferred"]
    assert "inferred" not in patch(tiny_dit(), PatchConfig()).describe()


# -- blocks that differ ----------------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["transformer-blocks", "stage-inputs"])
def test_balancing_sums_over_blocks_of_different_size(placement):
    model = tiny_unet()
    for form in ("per-block", "per-block-mean", "batch"):
        attached = patch(model, PatchConfig(placement=placement, importance=form))
        randomise(attached)
        call(model)
        total, terms = attached.balancing()
        blocks = [w.detach().double().numpy() for w in attached.weights()]
        assert {w.shape[1] for w in blocks} == {16, 64}
        expected = 0.0
        for w in blocks:
            values = w.mean(axis=0, keepdims=True) if form == "batch" else w
            variation = values.var(axis=1) / (values.mean(axis=1) ** 2 + 1e-5)
            expected += variation.mean() / (len(blocks) if form == "per-block-mean" else 1)
        assert float(total.detach()) == pytest.approx(expected, rel=1e-5)
        entropies = [-(w * np.log(w)).sum(axis=1).mean() for w in blocks]
        assert float(terms["gate/entropy"]) == pytest.approx(np.mean(entropies), rel=1e-5)
        for k in (16, 64):
            scale = k**-2 / (k**-2 + 1e-5)
            assert float(terms[f"gate/epsilon_scale/{k}"]) == pytest.approx(scale, rel=1e-4)
        attached.remove()


def test_scale_that_epsilon_leaves_at_the_finest_level_is_six_thousandths():
    weights = [torch.randn(2, k).softmax(1) for k in (4096, 64)]
    terms = balancing([Weighting(w, w) for w in weights], PatchConfig())[1]
    assert float(terms["gate/epsilon_scale/4096"]) == pytest.approx(0.006, abs=5e-4)


def test_noise_of_the_gate_reaches_blocks_of_different_size():
    model = tiny_unet()
    attached = patch(model, PatchConfig(gate_noise=True, load="smooth"))
    assert attached.noise_shape == (4, 64)
    randomise(attached)
    outputs = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        attached.noise = torch.randn(2, *attached.noise_shape, generator=generator)
        outputs.append(call(model))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize(
    "options",
    [
        {"block_index": "embedded"},
        {"block_index": "own-gate"},
        {"gate": "constant"},
        {"gate": "attention"},
        {"mixture": "pool"},
        {"type": "hard"},
        {"prompt_init": 0.1},
        {"depth": "half"},
        {"grid": 2, "resize": "bicubic"},
        {"grid": 4, "resize": "nearest"},
    ],
    ids=str,
)
def test_options_work_and_survive_a_file_where_blocks_differ(tmp_path, options):
    model = tiny_unet()
    attached = patch(model, PatchConfig(**options))
    randomise(attached)
    attached.eval().save(tmp_path / "patch.safetensors")
    fresh = tiny_unet()
    plain = call(fresh)
    Patch.load(tmp_path / "patch.safetensors", fresh)
    output = call(model)
    assert not torch.equal(output, plain)
    assert torch.equal(call(fresh), output)


def test_own_gates_are_as_many_as_blocks():
    gate = patch(tiny_unet(), PatchConfig(block_index="own-gate")).gate
    matrices = {name: sum(p.ndim == 2 for p in one.parameters()) for name, one in gate.items()}
    assert matrices == {"64": 3, "16": 1}


@torch.no_grad()
@pytest.mark.parametrize("placement", ["transformer-blocks", "stage-inputs"])
def test_odd_sizes_are_counted_as_the_model_counts_them(placement):
    model = tiny_unet(sample_size=5)
    randomise(patch(model, PatchConfig(placement=placement)))
    assert call(model, height=5, width=5).shape == (2, 4, 5, 5)


@torch.no_grad()
def test_prompts_before_diffusers_blocks_can_be_prepended():
    for build in (tiny_dit, tiny_pixart):
        model = build()
        output = call(model)
        options = {"position": "prepend", "prompts": 3, "masked_start": True}
        attached = patch(model, PatchConfig(**options))
        randomise(attached)
        assert not torch.allclose(call(model), output, atol=1e-4)
        attached.fade.zero_()
        torch.testing.assert_close(call(model), output, rtol=1e-4, atol=1e-5)


# -- what cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (tiny_dit, {"placement": "stage-inputs"}, r"does not have; accepted: transformer-blocks"),
        (tiny_unet, {"position": "prepend"}, r"position = prepend needs one sequence"),
        (tiny_unet, {"gate": "attention", "placement": "stage-inputs"}, r"blocks of one width"),
        (tiny_unet, {"grid": 3, "resize": "nearest"}, r"3 x 3 prompts over 8 x 8 tokens"),
        (tiny_pixart, {"condition": "t+c"}, r"no condition's embedding"),
        (tiny_unet, {"depth": 5}, r"the backbone has 4 blocks"),
    ],
)
def test_options_that_a_model_cannot_have_are_refused_and_leave_it_alone(build, options, message):
    model = build()
    with pytest.raises(DMPError, match=message):
        patch(model, PatchConfig(**options))
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_model_that_does_not_know_its_size_is_refused():
    with pytest.raises(DMPError, match=r"sample_size = None .*UNet2DConditionModel"):
        patch(tiny_unet(sample_size=None), PatchConfig())


def test_unknown_model_is_refused_with_all_that_are_known():
    # Our own are known once something has imported them.
    known = "(DiT, )?DiTTransformer2DModel, PixArtTransformer2DModel, (UNet, )?UNet2DConditionModel"
    with pytest.raises(DMPError, match=rf"cannot patch a Linear.*: {known}"):
        patch(nn.Linear(2, 2), PatchConfig())
