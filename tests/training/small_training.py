"""A training of a second, for the tests of this folder and the processes that they start."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig, TrainingConfig
from dmp.data.examples import Pixels
from dmp.data.registry import Images
from dmp.data.stream import TrainingStream
from dmp.diffusion import Diffusion
from dmp.methods import Variant, find_method
from dmp.training import Objective, fit

CONFIG = TrainingConfig(
    iterations=12, batch_size=8, learning_rate=1e-2, log_every=3, checkpoint_every=3
)
METHODS = {
    "fine-tuning": None,
    "prompt-tuning": Variant.parse("prompt-tuning").patch,
    "dmp": PatchConfig(),
}

# Its prompts get no gradient.
SHARED = {**METHODS, "attention-literal": PatchConfig(gate="attention-literal")}


def make_objective(config: PatchConfig | None, seed: int = 0) -> Objective:
    backbone = DiT(8, 4, 1, hidden_size=16, depth=2, num_heads=2)
    backbone.initialize_weights(np.random.default_rng(seed))
    # A fresh DiT puts out zero whatever its prompts; a converged one does not.
    nn.init.normal_(backbone.final_layer.linear.weight, std=0.1, generator=torch.Generator())
    attached = None if config is None else find_method("dmp").attach(backbone, config, seed)
    return Objective(backbone, Diffusion("cosine"), attached)


def make_stream(**options) -> TrainingStream:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    data = Pixels(Images(images, np.zeros(40, np.int64)))
    return TrainingStream(data, 0, 1000, flip=False, **options)


def train(
    directory: Path,
    patch: PatchConfig | None = None,
    seed: int = 0,
    stream: TrainingStream | None = None,
    identity: str = "id",
    changes: dict | None = None,
    **options,
) -> Objective:
    """Train a new objective, with changes of the configuration, and return it."""
    objective, config = make_objective(patch, seed), CONFIG.model_copy(update=changes)
    fit(objective, stream or make_stream(), config, directory, identity, **options)
    return objective


def interrupt(patcher: pytest.MonkeyPatch, iterations: list[int], act: Callable[[], None]) -> None:
    """Do something in the forward pass of these iterations, counted from now on."""
    original, calls = Objective.forward, []

    def forward(self, batch):
        calls.append(None)
        if len(calls) in iterations:
            act()
        return original(self, batch)

    patcher.setattr(Objective, "forward", forward)


def assert_same(actual: Objective, expected: Objective) -> None:
    """All parameters are the same, to the last bit."""
    theirs = expected.state_dict()
    for name, value in actual.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def logged(directory: Path) -> list[dict]:
    lines = (directory / "log.jsonl").read_text().splitlines()
    timing = ("time", "steps_per_second", "memory_mb")
    return [{k: v for k, v in json.loads(line).items() if k not in timing} for line in lines]
