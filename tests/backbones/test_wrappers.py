"""Weights are found whatever stands around them, in any order and number."""

import itertools
from pathlib import Path

import pytest

from dmp.backbones.wrappers import unwrapped
from dmp.errors import DMPError

WEIGHTS = {"x_embedder.proj.weight": 1, "blocks.0.attn.qkv.bias": 2, "model_head": 3}
PREFIXES = ("module", "_orig_mod", "model", "ema", "diffusion_model", "state_dict", "net")
NESTED = ("model", "state_dict", "ema", "module")
PATH = Path("DiT.pt")


def prefixed(prefix: str, weights: dict = WEIGHTS) -> dict:
    return {f"{prefix}{name}": value for name, value in weights.items()}


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_prefixes_are_taken_away_in_any_order(length):
    for parts in itertools.product(PREFIXES, repeat=length):
        assert unwrapped(prefixed("".join(f"{p}." for p in parts)), PATH) == WEIGHTS, parts


@pytest.mark.parametrize("keys", list(itertools.permutations(NESTED)))
def test_dictionaries_are_opened_in_any_order(keys):
    content = prefixed("module._orig_mod.")
    for key in keys:
        content = {"epoch": 3, key: content, "optimizer": {"state": {}, "step": 1}}
    assert unwrapped(content, PATH) == WEIGHTS


OTHER = dict.fromkeys(WEIGHTS, 0)


@pytest.mark.parametrize(
    "content",
    [
        {"model": OTHER, "ema": WEIGHTS, "opt": {}, "step": 5},
        {"ema": WEIGHTS, "state_dict": OTHER},
        {"state_dict": prefixed("model.", OTHER) | prefixed("model_ema.") | {"model_ema.decay": 9}},
        {"state_dict": {"model": prefixed("module.", OTHER), "ema_model": prefixed("module.")}},
        {"ema": prefixed("online_model.", OTHER) | prefixed("ema_model.") | {"initted": 1}},
        {"model": WEIGHTS, "ema": {}},
        prefixed("model._orig_mod.", OTHER) | prefixed("ema._orig_mod.") | {"ema.n_averaged": 4},
    ],
)
def test_of_several_the_averaged_weights_are_taken(content):
    assert unwrapped(content, PATH) == WEIGHTS


@pytest.mark.parametrize(
    "content",
    [{"model": WEIGHTS, "state_dict": OTHER}, prefixed("model.") | prefixed("module.", OTHER)],
)
def test_two_models_of_which_none_is_averaged_are_refused(content):
    with pytest.raises(DMPError, match=r"DiT.pt has two tensors for 'x_embedder"):
        unwrapped(content, PATH)


def test_what_is_no_wrapper_stays():
    assert unwrapped({"ema": {"shadow": WEIGHTS}}, PATH) == {"shadow": WEIGHTS}
    assert unwrapped(prefixed("encoder."), PATH) == prefixed("encoder.")
    assert unwrapped({"model": 3}, PATH) == {"model": 3}
