"""The record of a gate, whether its blocks have as many prompts or not."""

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_models import build_unet
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.data.registry import Images
from dmp.diffusion import Diffusion
from dmp.metrics.gate import record_gate
from dmp.patching import patch


def data(channels: int) -> Images:
    drawn = np.random.default_rng(0).standard_normal((3, channels, 8, 8), dtype=np.float32)
    return Images(drawn, np.zeros(3, np.int64))


def record(model, channels: int, learned: bool):
    attached = patch(model, PatchConfig())
    for parameter in attached.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(2))
    diffusion = Diffusion("linear", learned_variance=learned)
    return record_gate(model, attached, diffusion, data(channels), 5, "cpu")


def test_blocks_with_as_many_prompts_share_an_array():
    model = DiT(8, 2, 1, hidden_size=16, depth=3, num_heads=2)
    model.initialize_weights(np.random.default_rng(0))
    arrays = record(model, 1, learned=True).arrays()
    assert list(arrays) == ["timesteps", "weights", "entropy"]
    assert arrays["weights"].shape == (5, 3, 16)
    assert arrays["weights"].dtype == np.float32
    np.testing.assert_allclose(arrays["weights"].sum(axis=2), 1, rtol=1e-5)
    entropies = stats.entropy(arrays["weights"].astype(np.float64), axis=2).mean(axis=1)
    np.testing.assert_allclose(arrays["entropy"], entropies, rtol=1e-5)


def test_blocks_with_unlike_prompts_have_an_array_each_and_their_evenness():
    found = record(build_unet(), 4, learned=False)
    arrays = found.arrays()
    names = ["timesteps", *(f"weights_{block}" for block in range(4)), "entropy", "evenness"]
    assert list(arrays) == names
    # One block on the way down, one in the middle, two on the way up.
    counts = [arrays[f"weights_{block}"].shape for block in range(4)]
    assert counts == [(5, 64), (5, 16), (5, 64), (5, 64)]
    entropies = np.stack(
        [stats.entropy(weights.astype(np.float64), axis=1) for weights in found.weights], axis=1
    )
    np.testing.assert_allclose(arrays["entropy"], entropies.mean(axis=1), rtol=1e-5)
    expected = entropies / np.log([64, 16, 64, 64])
    np.testing.assert_allclose(arrays["evenness"], expected, rtol=1e-5)
    assert arrays["evenness"].max() == pytest.approx(1, abs=0.2)
