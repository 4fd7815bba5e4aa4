"""A patched model is an ordinary module: it is found, copied, saved and called from threads."""

import torch
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.patching import patch, patch_of


def make_backbone() -> DiT:
    model = DiT(8, 2, 1, hidden_size=16, depth=3, num_heads=2)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return model


def test_the_patch_of_a_model_is_found_until_it_is_removed():
    model = make_backbone()
    assert patch_of(model) is None
    attached = patch(model, PatchConfig())
    assert patch_of(model) is attached
    assert patch_of(nn.Sequential(model)) is attached
    attached.remove()
    assert patch_of(model) is None
