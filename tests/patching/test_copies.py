"""A patched model is an ordinary module: it is found, copied, saved and called from threads."""

import copy
import gc
import io
import threading

import pytest
import torch
from test_patch import make_backbone, make_inputs, patched, randomise
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.patching import Patch, patch, patch_of

CONFIGS = {
    "mixture": PatchConfig(),
    "prompt tuning": Variant.parse("prompt-tuning").patch,
    "told another time": PatchConfig(gate_timestep="permuted"),
    "both conditions": PatchConfig(condition="t+c"),
    "resized": PatchConfig(grid=2, resize="bicubic"),
    "prepended": PatchConfig(position="prepend", prompts=3, masked_start=True),
    "carried": PatchConfig(position="prepend", prompts=3, prepended="carried"),
}


def saved_and_loaded(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"copied": copy.deepcopy, "saved": saved_and_loaded}


def test_the_patch_of_a_model_is_found_until_it_is_removed():
    model = make_backbone()
    assert patch_of(model) is None
    attached = patch(model, PatchConfig())
    assert patch_of(model) is attached
    assert patch_of(nn.Sequential(model)) is attached
    attached.remove()
    assert patch_of(model) is None


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_copy_has_a_patch_of_its_own(config, way, called_before):
    model, attached = patched(config)
    if called_before:
        model(*make_inputs(5))
    twin = COPIES[way](model)
    expected = model(*make_inputs())
    assert torch.equal(twin(*make_inputs()), expected)
    other = patch_of(twin)
    assert other is not None
    assert other is not attached
    own = {id(p) for p in (*model.parameters(), *attached.parameters())}
    assert not own & {id(p) for p in (*twin.parameters(), *other.parameters())}

    randomise(other, seed=3)
    assert torch.equal(model(*make_inputs()), expected)
    changed = twin(*make_inputs())
    assert not torch.equal(changed, expected)
    attached.remove()
    assert torch.equal(twin(*make_inputs()), changed)
    other.remove()
    assert torch.equal(twin(*make_inputs()), make_backbone()(*make_inputs()))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in twin.modules())


def test_a_copy_trains_its_own_patch():
    model, attached = patched()
    twin = copy.deepcopy(model)
    other = patch_of(twin)
    (twin(*make_inputs()).square().mean() + other.balancing()[0]).backward()
    assert all(p.grad is None for p in (*model.parameters(), *attached.parameters()))
    assert all(p.grad.any() for p in other.parameters())
    assert all(p.grad is None for p in twin.parameters())


def test_backbone_of_a_patched_model_has_the_state_that_it_had():
    model, _ = patched()
    assert list(model.state_dict()) == list(make_backbone().state_dict())


# -- several at once -------------------------------------------------------------------------------


def at_once(models: list[nn.Module], inputs: list[tuple]) -> list[tuple[Tensor, list[Tensor]]]:
    """Call each model in a thread, and read its weights there.

    In their first block they wait until all have come there.
    """
    barrier, results = threading.Barrier(len(models), timeout=20), [None] * len(models)

    def wait(*_) -> None:
        barrier.wait()

    for block in {id(m.blocks[0]): m.blocks[0] for m in models}.values():
        block.register_forward_pre_hook(wait)

    def work(number: int) -> None:
        output = models[number](*inputs[number])
        results[number] = output, patch_of(models[number]).weights()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(models))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def replica(model: nn.Module) -> nn.Module:
    """What ``torch.nn.parallel.replicate`` makes of a module, which it does on GPUs alone."""
    twin = model._replicate_for_data_parallel()
    for name, parameter in model._parameters.items():
        setattr(twin, name, None if parameter is None else parameter.view_as(parameter))
    for name, child in model._modules.items():
        twin._modules[name] = replica(child)
    return twin


@pytest.mark.parametrize("kind", ["one model", "copies", "replicas"])
def test_threads_get_what_they_would_get_alone(kind):
    model, attached = patched()
    inputs = [make_inputs(seed, batch) for seed, batch in ((1, 2), (2, 3), (3, 3))]
    alone = [(model(*each), attached.weights()) for each in inputs]
    make = {"one model": lambda m: m, "copies": copy.deepcopy, "replicas": replica}[kind]
    models = [make(model) for _ in inputs]
    for expected, actual in zip(alone, at_once(models, inputs), strict=True):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_threads_have_noise_of_their_own():
    model, attached = patched(PatchConfig(gate_noise=True, load="smooth"))
    inputs, noises = [make_inputs(1), make_inputs(2)], torch.randn(2, 5, *attached.noise_shape)

    class WithNoise(nn.Module):
        def __init__(self, noise: Tensor) -> None:
            super().__init__()
            self.noise, self.model, self.blocks = noise, model, model.blocks

        def forward(self, *inputs: Tensor) -> Tensor:
            attached.noise = self.noise
            return model(*inputs)

    models = [WithNoise(noise) for noise in noises]
    alone = [each(*given) for each, given in zip(models, inputs, strict=True)]
    for expected, actual in zip(alone, at_once(models, inputs), strict=True):
        assert torch.equal(actual[0], expected)


# -- what stays ------------------------------------------------------------------------------------


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_nothing_of_a_call_stays_after_it_outside_training(config):
    model, attached = patched(config)
    attached.eval()
    inputs = make_inputs()
    before = live_tensors()
    model(*inputs)
    assert live_tensors() == before
    attached.keep_weights = True
    model(*inputs)
    assert all(w.shape == (5, attached.noise_shape[1]) for w in attached.weights())
    attached.keep_weights = False
    assert live_tensors() == before
    with pytest.raises(DMPError, match="keep_weights = True"):
        attached.weights()


def test_nothing_stays_of_a_call_that_failed():
    model, attached = patched()
    inputs = make_inputs()
    before = live_tensors()
    for place in (model.blocks[1], model.final_layer):
        handle = place.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(*inputs)
        handle.remove()
        assert live_tensors() == before
    with pytest.raises(DMPError, match="nothing was kept of a forward pass"):
        attached.weights()


def test_after_training_no_weighted_prompts_stay():
    """B, K and D are each used once, so that a shape says what a tensor is."""
    model, attached = patched()
    output = model(*make_inputs(batch=7))
    output.square().mean().backward()
    del output
    gc.collect()
    shapes = [tuple(x.shape) for x in gc.get_objects() if issubclass(type(x), Tensor)]
    assert (7, 16, 16) not in shapes
    assert attached.balancing() is not None


# -- activation checkpointing and compilation ------------------------------------------------------


def checkpointed(model: DiT, **options) -> None:
    """Run each block under checkpointing, as diffusers' models do."""
    for block in model.blocks:
        call = type(block).__call__

        class Checkpointed(nn.Module):
            def __init__(self, block: nn.Module) -> None:
                super().__init__()
                self.block = block

            def forward(self, tokens: Tensor, condition: Tensor, call=call) -> Tensor:
                return checkpoint(self.block, tokens, condition, **options)

        model.blocks[list(model.blocks).index(block)] = Checkpointed(block)


def gradients(attached: Patch, loss: Tensor) -> list[Tensor]:
    attached.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in attached.parameters()]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_checkpointed_blocks_give_the_same_gradients_for_each_of_two_calls(config):
    def loss(model: nn.Module, attached: Patch) -> Tensor:
        total = torch.zeros(())
        for seed in (1, 2):
            total = total + model(*make_inputs(seed)).square().mean()
            balancing = attached.balancing()
            total = total if balancing is None else total + balancing[0]
        return total

    model, attached = patched(config)
    expected = gradients(attached, loss(model, attached))
    checkpointed(model, use_reentrant=False)
    for actual, wanted in zip(gradients(attached, loss(model, attached)), expected, strict=True):
        torch.testing.assert_close(actual, wanted)
    attached.zero_grad()
    attached.eval()
    del actual, wanted, expected
    left = []
    for _ in range(2):  # the first forgets what was kept in training
        model(*make_inputs()).square().mean().backward()
        attached.zero_grad()
        left.append(live_tensors())
    assert left[0] == left[1]


def test_reentrant_checkpointing_is_refused_in_place_of_losing_the_balancing_losses():
    model, _ = patched()
    checkpointed(model, use_reentrant=True)
    with pytest.raises(DMPError, match=r"reentrant.*use_reentrant=False"):
        model(*make_inputs())
    model, attached = patched()
    inputs = make_inputs()
    inputs[0].requires_grad_()
    checkpoint(model, *inputs, use_reentrant=True)
    with pytest.raises(DMPError, match=r"reentrant.*use_reentrant=False"):
        attached.balancing()
    checkpoint(model, *inputs, use_reentrant=False)
    assert attached.balancing()[0].requires_grad


def test_compiled_model_computes_the_same_in_one_graph():
    model, attached = patched()
    expected = [model(*make_inputs(seed)) for seed in (1, 2)]
    weights = attached.weights()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for seed, output in zip((1, 2), expected, strict=True):
        torch.testing.assert_close(compiled(*make_inputs(seed)), output)
    torch.testing.assert_close(attached.weights(), weights)


def test_block_called_without_the_model_is_refused_in_words():
    model, _ = patched()
    with pytest.raises(DMPError, match="outside a forward pass"):
        model.blocks[0](torch.zeros(2, 16, 16), torch.zeros(2, 16))
