"""The backbone is DiT to the letter: public checkpoints load, and mean what they meant."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dmp.backbones import DiT, dit
from dmp.errors import DMPError


def make_dit(width: int = 16, heads: int = 2, depth: int = 2, **options) -> DiT:
    """A DiT for 8x8 images with 3 channels, 5 classes and a null label."""
    options = {"num_classes": 5, "class_dropout_prob": 0.1} | options
    return DiT(8, 2, 3, hidden_size=width, depth=depth, num_heads=heads, **options)


def initialised(seed: int = 0, **options) -> DiT:
    model = make_dit(**options)
    model.initialize_weights(np.random.default_rng(seed))
    return model


def randomised(seed: int = 0, **options) -> DiT:
    """No weight is zero, so that no part of the computation is hidden; positions stay."""
    model = initialised(**options)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter is not model.pos_embed:
            nn.init.normal_(parameter, std=0.2, generator=generator)
    return model


def make_inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    return x, torch.tensor([0, 1, 500, 999]), torch.tensor([0, 4, 2, 5])


# -- the public checkpoints -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "classes", "dropout", "parameters"),
    [
        ("B", 1, 0.0, 129_744_416),
        ("B", 1000, 0.1, 130_512_416),
        ("L", 1, 0.0, 457_078_816),
        ("L", 1000, 0.1, 458_102_816),
        ("XL", 1, 0.0, 673_977_632),
        ("XL", 1000, 0.1, 675_129_632),
    ],
)
def test_parameter_counts_are_those_of_dit(size, classes, dropout, parameters):
    with torch.device("meta"):
        model = dit(size, 2, 32, 4, classes, dropout)
    assert sum(p.numel() for p in model.parameters()) == parameters


def xl2_checkpoint() -> dict[str, tuple[int, ...]]:
    """Names and shapes in the released DiT-XL/2 for ImageNet at 256x256."""
    shapes: dict[str, tuple[int, ...]] = {
        "pos_embed": (1, 256, 1152),
        "x_embedder.proj.weight": (1152, 4, 2, 2),
        "x_embedder.proj.bias": (1152,),
        "t_embedder.mlp.0.weight": (1152, 256),
        "t_embedder.mlp.0.bias": (1152,),
        "t_embedder.mlp.2.weight": (1152, 1152),
        "t_embedder.mlp.2.bias": (1152,),
        "y_embedder.embedding_table.weight": (1001, 1152),
        "final_layer.linear.weight": (32, 1152),
        "final_layer.linear.bias": (32,),
        "final_layer.adaLN_modulation.1.weight": (2304, 1152),
        "final_layer.adaLN_modulation.1.bias": (2304,),
    }
    for block in range(28):
        shapes |= {
            f"blocks.{block}.attn.qkv.weight": (3456, 1152),
            f"blocks.{block}.attn.qkv.bias": (3456,),
            f"blocks.{block}.attn.proj.weight": (1152, 1152),
            f"blocks.{block}.attn.proj.bias": (1152,),
            f"blocks.{block}.mlp.fc1.weight": (4608, 1152),
            f"blocks.{block}.mlp.fc1.bias": (4608,),
            f"blocks.{block}.mlp.fc2.weight": (1152, 4608),
            f"blocks.{block}.mlp.fc2.bias": (1152,),
            f"blocks.{block}.adaLN_modulation.1.weight": (6912, 1152),
            f"blocks.{block}.adaLN_modulation.1.bias": (6912,),
        }
    return shapes


def test_public_checkpoint_loads_strictly():
    with torch.device("meta"):
        model = dit("XL", 2, 32, 4, 1000, 0.1)
        checkpoint = {name: torch.empty(shape) for name, shape in xl2_checkpoint().items()}
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == {
        name: tuple(value.shape) for name, value in checkpoint.items()
    }
    model.load_state_dict(checkpoint, strict=True, assign=True)


# -- embeddings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("grid", "width"), [(4, 16), (16, 64), (3, 8)])
def test_positions_are_the_closed_form(grid, width):
    """Column, then row; for each the sines of all frequencies, then the cosines."""
    model = DiT(grid * 2, 2, 1, hidden_size=width, depth=1, num_heads=2)
    model.initialize_weights(np.random.default_rng(0))
    quarter = width // 4
    expected = np.empty((grid * grid, width))
    for row in range(grid):
        for column in range(grid):
            for k in range(quarter):
                frequency = 10000 ** (-k / quarter)
                expected[row * grid + column, k::quarter] = [
                    math.sin(column * frequency),
                    math.cos(column * frequency),
                    math.sin(row * frequency),
                    math.cos(row * frequency),
                ]
    np.testing.assert_allclose(model.pos_embed[0].numpy(), expected, atol=1e-6)
    assert not model.pos_embed.requires_grad


def test_timestep_sinusoids_are_cosines_then_sines_of_period_10000():
    model, seen = initialised(), []
    model.t_embedder.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    t = torch.tensor([0, 1, 10, 500, 999])
    model.t_embedder(t)
    angles = t.double().numpy()[:, None] * 10000.0 ** (-np.arange(128) / 128)
    expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    # The angles are float32, as in the public implementation: 999 has 6e-5 between neighbours.
    np.testing.assert_allclose(seen[0].numpy(), expected, atol=2e-4)


def test_null_label_is_the_last_row_of_the_table():
    model = make_dit()
    assert model.null_label == 5
    assert len(model.y_embedder.embedding_table.weight) == 6
    assert len(make_dit(class_dropout_prob=0.0).y_embedder.embedding_table.weight) == 5


# -- initialisation -------------------------------------------------------------------------------


@torch.no_grad()
def test_freshly_initialised_model_puts_out_zero_and_its_blocks_are_the_identity():
    model = initialised()
    assert torch.equal(model(*make_inputs()), torch.zeros(4, 6, 8, 8))
    tokens = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0))
    for block in model.blocks:
        assert torch.equal(block(tokens, torch.ones(2, 16)), tokens)


def test_initialisation_is_a_function_of_the_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.random.fork_rng():
        # Global randomness differs between the two; construction itself may draw from it.
        torch.manual_seed(123)
        first = initialised(seed=7).state_dict()
    second = make_dit()
    state = torch.get_rng_state()
    second.initialize_weights(np.random.default_rng(7))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(before, state)
    assert all(torch.equal(first[name], value) for name, value in second.state_dict().items())

    other = initialised(seed=8).state_dict()
    drawn = {name for name, value in first.items() if not torch.equal(value, other[name])}
    # Biases, positions and all that starts at zero are the same for every seed.
    assert drawn == {
        "x_embedder.proj.weight",
        "t_embedder.mlp.0.weight",
        "t_embedder.mlp.2.weight",
        "y_embedder.embedding_table.weight",
        *(
            f"blocks.{i}.{layer}.weight"
            for i in range(2)
            for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        ),
    }


def test_initial_weights_have_the_published_scale():
    model = initialised(width=64, num_classes=400)
    for embedding in (model.y_embedder.embedding_table, model.t_embedder.mlp[0]):
        assert embedding.weight.std().item() == pytest.approx(0.02, rel=0.03)
    for weight, fan_in, fan_out in (
        (model.blocks[0].attn.qkv.weight, 64, 192),
        (model.blocks[1].mlp.fc2.weight, 256, 64),
        (model.x_embedder.proj.weight, 12, 64),
    ):
        bound = math.sqrt(6 / (fan_in + fan_out))  # Glorot & Bengio 2010
        assert 0.95 * bound < weight.abs().max().item() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


# -- running it -----------------------------------------------------------------------------------


@torch.no_grad()
def test_bf16_autocast_is_close_to_fp32():
    model, inputs = randomised(), make_inputs()
    exact = model(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(*inputs).float()
    error = ((rounded - exact).norm() / exact.norm()).item()
    assert 0 < error < 0.03


@torch.no_grad()
def test_each_image_is_predicted_on_its_own():
    model, (x, t, y) = randomised().double(), make_inputs(torch.float64)
    alone = torch.cat([model(x[i : i + 1], t[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(alone, model(x, t, y), rtol=1e-12, atol=1e-12)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: dit("XXL", 2, 32, 4),
            r"unknown DiT size 'XXL': did you mean '(XXS|XL)'.*L, S, XL",
        ),
        (lambda: dit("XXS", 3, 32, 1), r"patch_size = 3 does not divide input_size = 32"),
        (lambda: make_dit(heads=3), r"num_heads = 3 does not divide hidden_size = 16"),
        (lambda: make_dit(width=18), r"hidden_size = 18 .*multiple of 4"),
        (lambda: make_dit(captions=torch.zeros(5, 3)), r"5 text embeddings for 5 captions"),
        (
            lambda: make_dit(class_dropout_prob=0.0).null_label,
            r"no null label.*class_dropout_prob = 0",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_errors(build, message):
    with pytest.raises(DMPError, match=message):
        build()
