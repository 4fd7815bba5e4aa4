"""Prompts in half precision: they arrive, and prompts at zero change no bit."""

import warnings

import pytest
import torch
from small_models import call, randomise, tiny_dit, tiny_pixart, tiny_unet
from torch import Tensor, nn

import dmp.backbones  # noqa: F401  registers the patch points
from dmp.config import PatchConfig
from dmp.patching import patch, patch_points
from dmp.patching.half import Arrival

BF16, FP16 = torch.bfloat16, torch.float16
MODES = ["autocast", "converted"]
BUILD = {"dit": (tiny_dit, 2), "pixart": (tiny_pixart, 2), "unet": (tiny_unet, 1)}
SCALE = 0.001  # of the prompts; half a unit in the last place of the tokens is about 0.002
PLACES = [(kind, "transformer-blocks") for kind in BUILD] + [("unet", "stage-inputs")]


def build(kind: str, edge: int = 8) -> nn.Module:
    """A model whose finest grid of tokens has that edge."""
    make, patch_size = BUILD[kind]
    more = {"use_additional_conditions": False} if kind == "pixart" else {}
    return make(sample_size=edge * patch_size, **more)


def run(
    model: nn.Module, mode: str, size: int = 8, dtype: torch.dtype = BF16, seed: int = 1
) -> Tensor:
    """Call a model that was converted where the mode says so."""
    options = {"height": size, "width": size, "seed": seed}
    if mode == "converted":
        return call(model, dtype=dtype, **options)
    with torch.autocast("cpu", dtype, enabled=mode == "autocast"):
        return call(model, **options)


def record(module: nn.Module, seen: list[Tensor]) -> None:
    """Record a module's input."""

    def hook(_, inputs, named):
        seen.append((inputs[0] if inputs else named["hidden_states"]).detach())

    module.register_forward_pre_hook(hook, with_kwargs=True)


def first_layer(block: nn.Module) -> nn.Module:
    """What a block begins with: what it gives to this is what it computes with."""
    return block.norm1 if hasattr(block, "norm1") else block.resnets[0].norm1


@torch.no_grad()
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "placement"), PLACES)
def test_prompts_at_a_fifth_of_a_per_mille_of_the_tokens_arrive(kind, placement, mode):
    """K = 4096 and prompts of rms 0.05: what is added is 1/600 of a unit in the last place.

    One block at a time has prompts, so that its tokens without them are those of the model.
    """
    model = build(kind, 64)
    model.to(BF16 if mode == "converted" else torch.float32)
    blocks = patch_points(model).placements[placement]
    size = model.config.sample_size
    for index in [i for i, block in enumerate(blocks) if block.num_tokens == 4096][:2]:
        block, before, after = blocks[index], [], []
        record(block.module, before)
        record(first_layer(block.module), after)
        attached = patch(model, PatchConfig(placement=placement))
        randomise(attached, 0.05)
        for other, prompts in enumerate(attached.prompts):
            if other != index:
                prompts.zero_()
        run(model, mode, size)
        wanted = (attached.weights()[index][:, :, None] * attached.prompts[index]).double()
        if block.feature_map:
            wanted = wanted.mT.unflatten(-1, (64, 64))
        # Up stages begin by joining the skip connection.
        seen = after[0][:, : block.width] if block.feature_map else after[0]
        actual = seen.double() - before[0].double()
        assert 0.99 < float((actual * wanted).sum() / wanted.square().sum()) < 1.01
        assert 0.99 < float(attached.arrived()) < 1.01
        attached.remove()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [BF16, FP16], ids=str)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "placement"), PLACES)
def test_zero_prompts_change_no_bit_in_half_precision(kind, placement, mode, dtype):
    model = build(kind)
    model.to(dtype if mode == "converted" else torch.float32)
    size = model.config.sample_size
    plain = run(model, mode, size, dtype)
    attached = patch(model, PatchConfig(placement=placement))
    assert torch.equal(run(model, mode, size, dtype), plain)
    randomise(attached)
    changed = run(model, mode, size, dtype)
    assert changed.dtype == plain.dtype
    assert not torch.equal(changed, plain)
    attached.remove()
    assert torch.equal(run(model, mode, size, dtype), plain)


@torch.no_grad()
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "placement"), PLACES)
def test_model_moves_as_far_as_in_float32(kind, placement, mode):
    """Prompts of which rounding leaves little; rounding's own noise is averaged over images."""
    moved = {}
    for precision in ("float32", mode):
        model = build(kind)
        model.to(BF16 if precision == "converted" else torch.float32)
        size = model.config.sample_size
        outputs = []
        for scale in (0, SCALE):
            attached = patch(model, PatchConfig(placement=placement, weights="n-softmax"))
            randomise(attached, scale)
            outputs.append(
                torch.cat([run(model, precision, size, seed=seed).double() for seed in range(20)])
            )
            attached.remove()
        moved[precision] = outputs[1] - outputs[0]
    wanted = moved["float32"]
    share = float((moved[mode] * wanted).sum() / wanted.square().sum())
    assert 0.75 < share < 1.25


def test_arrival_is_the_projection_on_what_was_to_arrive():
    arrival, zero = Arrival(), torch.zeros(1, 2, 2)
    assert arrival.share() is None
    arrival.count(zero, zero, torch.zeros(2, 2))
    assert float(arrival.share()) == 1
    arrival.count(zero, torch.tensor([[[3.0, 0.0], [0.0, 0.0]]]), torch.tensor([[3.0, 0], [0, 4]]))
    assert float(arrival.share()) == pytest.approx(9 / 25)


def test_patch_that_is_lost_warns_once():
    """Beside tokens of a million even float32 has no room for prompts of 0.05."""
    model = build("dit").to(BF16)
    attached = patch(model, PatchConfig())
    size = model.config.sample_size
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(model, "converted", size)  # nothing is to arrive
        assert float(attached.arrived()) == 1
    randomise(attached, 0.05)
    with torch.no_grad():
        model.pos_embed.proj.bias.add_(1e6)
    with pytest.warns(UserWarning, match="0% of the prompts' contribution arrives"):
        run(model, "converted", size)
    assert float(attached.arrived()) < 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(model, "converted", size)


@torch.no_grad()
def test_what_arrives_is_not_counted_in_float32():
    model = build("unet")
    attached = patch(model, PatchConfig())
    randomise(attached)
    run(model, "float32")
    assert attached.arrived() is None


@torch.no_grad()
def test_autocast_of_a_block_ends_with_it_even_if_it_fails():
    for kind in BUILD:
        model = build(kind).to(BF16)
        randomise(patch(model, PatchConfig()))
        size = model.config.sample_size
        output = run(model, "converted", size)
        inside, outside = [], []
        block = patch_points(model).placements["transformer-blocks"][1].module

        def look(*_, seen):
            seen.append(torch.is_autocast_enabled("cpu"))

        block.attn1.register_forward_pre_hook(lambda *_, look=look, i=inside: look(seen=i))
        block.register_forward_pre_hook(lambda *_, look=look, o=outside: look(seen=o), prepend=True)
        assert torch.equal(run(model, "converted", size), output)
        assert (inside, outside) == ([True], [False])
        handle = block.attn1.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(model, "converted", size)
        handle.remove()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.equal(run(model, "converted", size), output)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", BUILD)
def test_gradients_in_half_precision_are_those_of_float32_and_survive_checkpointing(kind, mode):
    def gradient(precision: str, checkpointing: bool = False) -> Tensor:
        model = build(kind)
        model.to(BF16 if precision == "converted" else torch.float32)
        attached = patch(model, PatchConfig())
        randomise(attached, 0.3)
        if checkpointing:
            model.enable_gradient_checkpointing()
        total = torch.zeros(())
        for seed in (1, 2):
            output = run(model, precision, model.config.sample_size, seed=seed)
            total = total + output.float().square().mean()
        (total + attached.balancing()[0]).backward()
        return torch.cat([p.grad.flatten() for p in attached.parameters()])

    plain, exact = gradient(mode), gradient("float32")
    assert float((plain - exact).norm() / exact.norm()) < 0.05
    torch.testing.assert_close(gradient(mode, checkpointing=True), plain)
