"""Closed forms of a U-Net against PyTorch's own counter, real modules, and published counts."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from flop_counter import counted

from dmp.backbones.unet import unet_options
from dmp.config import UNetConfig
from dmp.methods import Variant
from dmp.patching import patch
from dmp.planning import flops
from dmp.planning.unet import CAPTION_TOKENS, UNetGeometry

BATCH = 2
TINY = UNetConfig(
    kind="unet", block_out_channels=(8, 16, 16), layers_per_block=2, attention_stages=2,
    attention_head_dim=2, cross_attention_dim=12, norm_num_groups=4,
)  # fmt: skip
GEOMETRY = UNetGeometry.of(TINY, 8, 4)
VARIANTS = [
    "prompt-tuning",
    "dmp",
    "dmp,depth=7",
    "dmp,block_index=own-gate",
    "dmp,gate=constant",
    "dmp,grid=2,resize=bilinear",
    "dmp,placement=stage-inputs,depth=2",
]


def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DConditionModel(**unet_options(TINY, 8, 4))


def inputs() -> tuple[torch.Tensor, ...]:
    text = torch.zeros(BATCH, CAPTION_TOKENS, TINY.cross_attention_dim)
    return torch.zeros(BATCH, 4, 8, 8), torch.zeros(BATCH, dtype=torch.int64), text


@pytest.mark.parametrize("name", VARIANTS)
def test_patched_unet_takes_what_the_counter_counts(name):
    config = Variant.parse(name).patch
    model = unet()
    attached = patch(model, config)
    attached.noise = torch.zeros(BATCH, *attached.noise_shape)
    assert counted(lambda: model(*inputs()).sample.sum().backward()) == BATCH * flops.train(
        GEOMETRY, config
    )
    attached.eval().requires_grad_(False)
    assert counted(lambda: model(*inputs())) == BATCH * flops.forward(GEOMETRY, config)
    assert sum(p.numel() for p in attached.parameters()) == flops.patch_parameters(GEOMETRY, config)


def test_full_training_of_a_unet_takes_what_the_counter_counts():
    model = unet()
    training = counted(lambda: model(*inputs()).sample.sum().backward())
    assert training == BATCH * flops.train(GEOMETRY)
    assert sum(p.numel() for p in model.parameters()) == flops.parameters(GEOMETRY)
    model.requires_grad_(False)
    assert counted(lambda: model(*inputs())) == BATCH * flops.forward(GEOMETRY)


def test_stable_diffusion_has_its_published_counts():
    config = UNetConfig(kind="unet")
    g = UNetGeometry.of(config, 64, 4)
    assert flops.parameters(g) == 859_520_964
    default, naive = (Variant.parse(name).patch for name in ("dmp", "prompt-tuning"))
    assert flops.patch_parameters(g, naive) == 11_550_720
    # 5 blocks of 64², 5 of 32², 5 of 16² and 1 of 8² tokens; a gate for each resolution.
    assert flops.patch_parameters(g, default) == 11_550_720 + (4096 + 1024 + 256 + 64) * 1282
    at_stages = naive.model_copy(update={"placement": "stage-inputs"})
    assert flops.patch_parameters(g, at_stages) == 6_307_840
    with torch.device("meta"), torch.no_grad():
        model = UNet2DConditionModel(**unet_options(config, 64, 4)).requires_grad_(False)
        text = torch.zeros(1, CAPTION_TOKENS, 768)
        once = counted(lambda: model(torch.zeros(1, 4, 64, 64), torch.zeros(1), text))
    assert once == flops.forward(g)
