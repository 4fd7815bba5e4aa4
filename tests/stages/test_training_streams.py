"""A run trains on its seed's examples, alike for all variants, and none of the baseline's."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from harness import ROOT
from torch import nn

from dmp.data.examples import Pixels
from dmp.data.registry import Images
from dmp.data.stream import Batch
from dmp.diffusion import Diffusion
from dmp.methods import find_method
from dmp.stages.pretrain import training_stream
from dmp.studies import load_plan
from dmp.studies.run import PRETRAINING, RunConfig
from dmp.training import Objective

TASK, SEEDS = "unconditional", range(3)
PLAN = load_plan("digits", ROOT / "ablations")
USED = 5500 * 32  # examples of a baseline's training: iterations times batch size
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), np.uint8)


def examples(run: RunConfig, first: int = 0, count: int = 96) -> Batch:
    data = SimpleNamespace(train=Pixels(Images(IMAGES, np.zeros(50, np.int64))), captions=None)
    continues = run.method != PRETRAINING and find_method(run.method).continues
    objective = Objective(nn.Identity(), Diffusion("cosine"))
    stream = training_stream(run, objective, data, continues)
    return stream.__getitems__(range(first, first + count))


def same(first: Batch, second: Batch) -> list[bool]:
    return [torch.equal(a, b) for a, b in zip(first[:4], second[:4], strict=True)]


@pytest.mark.parametrize("seed", SEEDS)
def test_variants_of_one_seed_share_their_examples(seed):
    first = examples(PLAN.run(TASK, "fine-tuning", seed))
    for variant in ("prompt-tuning", "dmp", "dmp,depth=1"):
        assert all(same(first, examples(PLAN.run(TASK, variant, seed))))


@pytest.mark.parametrize("seed", SEEDS)
def test_further_training_is_not_shown_what_the_baseline_began_with(seed):
    """Otherwise the seed that trained the baseline would differ from all others."""
    own = examples(PLAN.pretraining(TASK, seed))
    further = examples(PLAN.run(TASK, "dmp", seed))
    # Labels are the same in a task without any.
    assert same(own, further) == [False, True, False, False]


def test_continued_training_begins_where_the_baselines_ended():
    continued = PLAN.run(TASK, "continued", 0)
    assert PLAN.pretraining(TASK, 0).config.pretraining.iterations * 32 == USED
    assert all(same(examples(continued), examples(PLAN.pretraining(TASK, 0), first=USED)))


def test_seeds_that_share_a_baseline_continue_it_on_examples_of_their_own():
    plan = replace(PLAN, scale=PLAN.scale.model_copy(update={"baseline_seeds": 1}))
    assert {plan.run(TASK, "continued", seed).baseline_seed for seed in SEEDS} == {0}
    starts = [examples(plan.run(TASK, "continued", seed)) for seed in SEEDS]
    assert len({batch.noise.numpy().tobytes() for batch in starts}) == len(SEEDS)
    began = examples(PLAN.pretraining(TASK, 0))
    assert not any(same(batch, began)[3] for batch in starts)
