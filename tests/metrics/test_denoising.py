"""All models are judged on the same triples, and the loss is the formula."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from harness import ROOT
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.config.run import DiffusionConfig
from dmp.data.registry import Images
from dmp.diffusion import Diffusion
from dmp.metrics.denoising import denoising_losses
from dmp.metrics.registry import find_metric
from dmp.patching import patch
from dmp.studies import load_plan

DATA = Images(
    np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), dtype=np.uint8), np.zeros(30, np.int64)
)
DIFFUSION = Diffusion("cosine")


class Zero(nn.Module):
    """Predicts no noise at all."""

    def forward(self, x, t, y):
        return torch.zeros(len(x), 2, 8, 8)


def test_predicting_nothing_costs_the_variance_of_the_noise():
    losses = denoising_losses(Zero(), DIFFUSION, DATA, 20, "cpu")
    assert len(losses.mse) == 600
    assert losses.mse.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / (600 * 64)))


def test_triples_do_not_depend_on_model_or_batch_size():
    small = denoising_losses(Zero(), DIFFUSION, DATA, 5, "cpu", batch_size=7)
    large = denoising_losses(Zero(), DIFFUSION, DATA, 5, "cpu", batch_size=1000)
    assert (small.timesteps == large.timesteps).all()
    np.testing.assert_allclose(small.mse, large.mse, rtol=1e-6)
    np.testing.assert_allclose(small.vb, large.vb, rtol=1e-4)


def test_timesteps_of_an_image_are_stratified():
    losses = denoising_losses(Zero(), DIFFUSION, DATA, 10, "cpu")
    bins = losses.timesteps.reshape(30, 10) // 100
    assert (bins == np.arange(10)).all()


def test_a_patch_of_zeros_changes_no_loss():
    backbone = DiT(8, 4, 1, hidden_size=16, depth=2, num_heads=2)
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(0))
    before = denoising_losses(backbone, DIFFUSION, DATA, 5, "cpu")
    patch(backbone, PatchConfig())
    after = denoising_losses(backbone, DIFFUSION, DATA, 5, "cpu")
    assert (before.mse == after.mse).all()
    assert (before.vb == after.vb).all()


def test_the_bound_is_the_sum_over_all_timesteps():
    """Each image at each of ten timesteps once: then the estimate is the sum itself."""
    diffusion = Diffusion("cosine", 10)
    losses = denoising_losses(Zero(), diffusion, DATA, 10, "cpu")
    assert (np.sort(losses.timesteps.reshape(30, 10), axis=1) == np.arange(10)).all()
    run = load_plan("smoke", ROOT / "ablations").run("unconditional", "baseline", 0)
    task = run.config.model_copy(
        update={"diffusion": DiffusionConfig(schedule="cosine", timesteps=10)}
    )
    state = SimpleNamespace(held_out=losses, task=task)
    whole, *parts = find_metric("denoising_vb").measure(state)
    assert whole.value == pytest.approx(losses.vb.reshape(30, 10).sum(axis=1).mean())
    assert sum(part.count for part in parts) == whole.count == 300
    (mse, *_) = find_metric("denoising_mse").measure(state)
    assert mse.value == losses.mse.mean()
