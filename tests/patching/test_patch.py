"""The method, on a small backbone whose parts have non-zero weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.patching import Patch, entropy, importance_loss, load_loss, patch
from dmp.tensorfile import save_tensors

DEPTH, TOKENS, WIDTH = 3, 16, 16


def randomise(module: nn.Module, std: float = 1.0, seed: int = 2) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)


def make_backbone(depth: int = DEPTH, width: int = WIDTH, size: int = 8) -> DiT:
    """A DiT with random weights everywhere; freshly initialised, its output would be all zero."""
    model = DiT(size, 2, 1, hidden_size=width, depth=depth, num_heads=2)
    randomise(model, 0.2, seed=0)
    return model


def make_inputs(seed: int = 1, batch: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 1, 8, 8, generator=generator)
    return x, torch.randint(0, 1000, (batch,), generator=generator), torch.zeros(batch).long()


def patched(config: PatchConfig | None = None, **change) -> tuple[DiT, Patch]:
    """The backbone with a patch whose parameters are random."""
    model = make_backbone()
    attached = patch(model, PatchConfig() if config is None else config, **change)
    randomise(attached)
    return model, attached


CONFIGS = [
    PatchConfig(),
    Variant.parse("prompt-tuning").patch,
    PatchConfig(selection="uniform"),
    PatchConfig(depth=1),
    PatchConfig(depth="half"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_patched_forward_is_equation_5(config):
    """The oracle writes Eqs. 4 and 5 out, block by block, with NumPy for the gate."""
    (model, attached), (x, t, y) = patched(config), make_inputs()
    actual = model(x, t, y)

    embedding = model.t_embedder(t)
    condition = embedding + model.y_embedder(y)
    tokens = model.x_embedder(x) + model.pos_embed
    for i, block in enumerate(model.blocks):
        if i < len(attached.prompts):
            prompts = attached.prompts[i].detach().numpy()
            weights = np.ones((len(x), TOKENS))
            if attached.gate is not None:
                linear = attached.gate.linear
                fed = embedding.detach().numpy()
                if config.selection == "distinct":
                    fed = np.column_stack([fed, np.full(len(x), i)])
                logits = fed @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
                e = np.exp(logits - logits.max(axis=1, keepdims=True))
                weights = e / e.sum(axis=1, keepdims=True)
            tokens = tokens + torch.tensor(weights[:, :, None] * prompts, dtype=torch.float32)
        # Called past its hooks: the oracle adds the prompts itself.
        tokens = block.forward(tokens, condition)
    expected = model.unpatchify(model.final_layer(tokens, condition))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_only_the_patch_trains():
    model = make_backbone()
    attached = patch(model, PatchConfig())
    model(*make_inputs()).square().sum().backward()
    assert all(p.grad is None for p in model.parameters())
    assert attached.prompts.grad.abs().sum() > 0
    # At zero prompts the gate multiplies nothing: its first gradient is zero.
    assert attached.gate.linear.weight.grad.abs().sum() == 0


def test_trainable_parameters_are_printed_as_peft_prints_them(capsys):
    model = make_backbone()
    frozen = sum(p.numel() for p in model.parameters())
    attached = patch(model, Variant.parse("prompt-tuning").patch)
    attached.print_trainable_parameters()
    own = DEPTH * TOKENS * WIDTH
    assert own == 768
    assert capsys.readouterr().out == (
        f"trainable params: 768 || all params: {frozen + 768:,d} || "
        f"trainable%: {76800 / (frozen + 768):.4f}\n"
    )

    attached.requires_grad_(False)
    attached.print_trainable_parameters()
    assert capsys.readouterr().out.startswith("trainable params: 0 || all params:")


def test_depth_counts_patched_blocks_from_the_input():
    for depth, blocks in ((1, 1), ("half", 1), (2, 2), ("all", 3)):
        attached = patch(make_backbone(), PatchConfig(depth=depth))
        assert attached.prompts.shape == (blocks, TOKENS, WIDTH)


def test_depth_beyond_the_backbone_is_refused():
    with pytest.raises(DMPError, match=r"depth = 4, but the backbone has 3 blocks.*1 to 3"):
        patch(make_backbone(), PatchConfig(depth=4))


def test_unknown_backbone_is_refused_with_the_known_ones():
    with pytest.raises(DMPError, match=r"cannot patch a Linear.*DiT"):
        patch(nn.Linear(2, 2), PatchConfig())


def test_tokens_of_another_resolution_are_refused():
    model = make_backbone()
    patch(model, PatchConfig())
    with pytest.raises(DMPError, match=r"tokens of shape \(2, 4, 16\).*made for 16 tokens"):
        model.blocks[0](torch.zeros(2, 4, WIDTH), torch.zeros(2, WIDTH))


def test_initial_gate_is_a_function_of_the_seed():
    gates = [patch(make_backbone(), PatchConfig(), s).gate.linear.weight for s in (0, 0, 1)]
    assert torch.equal(gates[0], gates[1])
    assert not torch.equal(gates[0], gates[2])


def test_patch_of_another_backbone_is_refused_and_leaves_it_unpatched(tmp_path):
    patch(make_backbone(), PatchConfig()).save(tmp_path / "patch.safetensors")
    other = make_backbone(width=24)
    with pytest.raises(DMPError, match=r"made for a backbone with .*'hidden_size': 16"):
        Patch.load(tmp_path / "patch.safetensors", other)
    assert all(p.requires_grad for n, p in other.named_parameters() if n != "pos_embed")


def test_file_that_is_no_patch_is_refused(tmp_path):
    save_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"format": "weights"})
    with pytest.raises(DMPError, match="is not a patch"):
        Patch.load(tmp_path / "other.safetensors", make_backbone())


def random_weights(seed: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(4, 6, 9, generator=generator, dtype=torch.float64) * scale).softmax(-1)


@given(st.integers(0, 1000), st.floats(0, 5))
@settings(max_examples=30, deadline=None)
def test_importance_loss_is_equations_9_and_10(seed, scale):
    weights = random_weights(seed, scale)
    expected = 0.0
    for image in weights.numpy().transpose(1, 0, 2):
        for block in image:
            mean = sum(block) / len(block)
            variance = sum((g - mean) ** 2 for g in block) / len(block)
            expected += variance / (mean**2 + 1e-5) / weights.shape[1]
    assert float(importance_loss(weights)) == pytest.approx(expected)


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_balancing_losses_do_not_depend_on_the_order_of_prompts_or_images(seed, other):
    weights = random_weights(seed, 2)
    generator = torch.Generator().manual_seed(other)
    shuffled = weights[:, torch.randperm(6, generator=generator)]
    shuffled = shuffled[:, :, torch.randperm(9, generator=generator)]
    for loss in (importance_loss, load_loss, entropy):
        torch.testing.assert_close(loss(shuffled), loss(weights))


def test_importance_loss_of_equal_weights_is_zero_and_has_a_gradient_elsewhere():
    assert float(importance_loss(torch.full((2, 3, 4), 0.25))) == 0
    weights = random_weights(0, 1).requires_grad_()
    importance_loss(weights).backward()
    assert weights.grad.abs().sum() > 0


def test_load_loss_as_written_counts_negative_weights_and_has_no_gradient():
    weights = torch.tensor([[[-1.0, 0.0, 2.0], [-1.0, -2.0, 1.0]]], requires_grad=True)
    loss = load_loss(weights)
    assert float(loss) == 1.5
    assert not loss.requires_grad
    assert float(load_loss(random_weights(0, 3))) == 0


def test_load_loss_changes_no_gradient_to_the_last_bit():
    gradients = []
    for weight in (0.0, 1.0):
        model, attached = patched(PatchConfig(load_weight=weight))
        loss = model(*make_inputs()).square().mean() + attached.balancing()[0]
        loss.backward()
        gradients.append([p.grad.clone() for p in attached.parameters()])
    for without, with_load in zip(*gradients, strict=True):
        assert torch.equal(without, with_load)


def test_entropy_lies_between_one_prompt_and_all_alike():
    assert float(entropy(torch.full((1, 1, 8), 1 / 8))) == pytest.approx(np.log(8))
    assert float(entropy(torch.eye(8)[None])) == 0
