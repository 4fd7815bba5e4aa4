"""Closed forms against PyTorch's own counter, real modules, and published counts."""

import pytest
import torch
from diffusers import AutoencoderKL
from flop_counter import counted

from dmp.backbones import SIZES, DiT
from dmp.config import PatchConfig
from dmp.methods import Variant
from dmp.metrics.classifier import Classifier
from dmp.patching import patch
from dmp.planning import flops

GEOMETRY = flops.Geometry(8, 1, 2, 3, 32, 4)
BATCH = 2
VARIANTS = [
    "prompt-tuning",
    "dmp",
    "released",
    "dmp,depth=1",
    "dmp,selection=uniform",
    "dmp,block_index=embedded",
    "dmp,block_index=own-gate",
    "dmp,gate=constant",
    "dmp,gate=attention",
    "dmp,gate=attention-literal",
    "dmp,gate=attention-released",
    "dmp,mixture=pool",
    "dmp,gate_timestep=permuted",
    "dmp,gate_timestep=permuted-in-sampling",
    "dmp,position=prepend",
    "dmp,depth=2,position=prepend,prepended=carried,prompts=5",
    "dmp,depth=2,position=prepend,prepended=stays,prompts=5",
    "released,type=hard",
    "dmp,masked_start=true,position=prepend,prompts=0.195",
]


def backbone(**more) -> DiT:
    return DiT(8, 2, 1, hidden_size=32, depth=3, num_heads=4, **more)


def inputs():
    zeros = torch.zeros(BATCH, dtype=torch.int64)
    return torch.zeros(BATCH, 1, 8, 8), zeros, zeros


def of_prompts_alone(config: PatchConfig) -> int:
    """Return what an attention gate computes once per batch, which the closed form leaves out."""
    queries = config.gate in ("attention", "attention-released")
    return queries * config.blocks(3) * config.count(16) * 32**2


@pytest.mark.parametrize("name", VARIANTS)
def test_patched_backbone_takes_what_the_counter_counts(name):
    config = Variant.parse(name).patch
    model = backbone()
    attached = patch(model, config)
    attached.noise = torch.zeros(BATCH, config.blocks(3), config.count(16))
    once = of_prompts_alone(config)
    training = counted(lambda: model(*inputs()).sum().backward())
    assert training == BATCH * flops.train(GEOMETRY, config) + 3 * once
    attached.eval().requires_grad_(False)
    assert counted(lambda: model(*inputs())) == BATCH * flops.forward(GEOMETRY, config) + once
    assert sum(p.numel() for p in attached.parameters()) == flops.patch_parameters(GEOMETRY, config)


@pytest.mark.parametrize(
    ("more", "geometry"),
    [
        ({}, GEOMETRY),
        (
            {"num_classes": 10, "class_dropout_prob": 0.1},
            flops.Geometry(8, 1, 2, 3, 32, 4, label_rows=11),
        ),
        (
            {"num_classes": 10, "captions": torch.zeros(11, 20)},
            flops.Geometry(8, 1, 2, 3, 32, 4, label_rows=0, text_size=20),
        ),
    ],
    ids=["unconditional", "class", "text"],
)
def test_full_training_takes_what_the_counter_counts(more, geometry):
    model = backbone(**more)
    assert counted(lambda: model(*inputs()).sum().backward()) == BATCH * flops.train(geometry)
    assert sum(p.numel() for p in model.parameters()) == flops.parameters(geometry)
    model.requires_grad_(False)
    assert counted(lambda: model(*inputs())) == BATCH * flops.forward(geometry)


@pytest.mark.parametrize(
    ("size", "gmacs", "parameters"),
    [("B", "23.0", 129_744_416), ("L", "80.7", 457_078_816), ("XL", "118.6", 673_977_632)],
)
def test_published_sizes_have_their_published_counts(size, gmacs, parameters):
    g = flops.Geometry(32, 4, 2, *SIZES[size])
    assert f"{flops.forward(g) / 1e9:.1f}" == gmacs
    assert flops.parameters(g) == parameters
    # A frozen backbone spares a third of the arithmetic, but for what attention's gradients take.
    assert 2 < flops.train(g, PatchConfig()) / flops.forward(g) < 2.06


def test_networks_around_the_backbone_take_what_the_counter_counts():
    from torchvision.models import inception_v3
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"), torch.no_grad():
        autoencoder = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        ).requires_grad_(False)
        for size in (128, 256):
            image, latents = torch.zeros(1, 3, size, size), torch.zeros(1, 4, size // 8, size // 8)
            assert counted(lambda x=image: autoencoder.encode(x)) == flops.encode(size)
            assert counted(lambda x=latents: autoencoder.decode(x)) == flops.decode(size)
        inception = inception_v3(aux_logits=False, init_weights=False).eval().requires_grad_(False)
        assert counted(lambda: inception(torch.zeros(1, 3, 299, 299))) == flops.INCEPTION
        config = CLIPTextConfig(hidden_size=64, intermediate_size=256, num_hidden_layers=2)
        text = CLIPTextModel(config).requires_grad_(False)
        ids = torch.zeros(1, flops.CAPTION_TOKENS, dtype=torch.int64)
        assert counted(lambda: text(ids)) == flops.text_encoder(64, 2)
        own = Classifier(channels=1, classes=10).requires_grad_(False)
        assert counted(lambda: own(torch.zeros(1, 1, 8, 8))) == flops.classifier(8, 1, 10)
