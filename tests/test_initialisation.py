"""Initial weights have the distributions that torch's own functions of these names have."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.initialisation import kaiming_uniform_, normal_, uniform_, xavier_uniform_
from dmp.metrics.classifier import new_classifier
from dmp.patching import patch
from dmp.rng import generator

PAIRS = {
    "normal": (partial(normal_, std=0.3), partial(nn.init.normal_, std=0.3), (60, 90)),
    "uniform": (partial(uniform_, bound=0.3), partial(nn.init.uniform_, a=-0.3, b=0.3), (60, 90)),
    "xavier": (xavier_uniform_, nn.init.xavier_uniform_, (30, 170)),
    "kaiming": (
        kaiming_uniform_,
        partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
        (30, 17, 3, 3),
    ),
}


@pytest.mark.parametrize(("ours", "theirs", "shape"), PAIRS.values(), ids=PAIRS)
def test_distribution_is_that_of_torch(ours, theirs, shape):
    drawn, expected = torch.empty(shape), torch.empty(shape)
    ours(drawn, source=generator(0, "a test"))
    theirs(expected, generator=torch.Generator().manual_seed(0))
    a, b = drawn.flatten().numpy(), expected.flatten().numpy()
    assert stats.ks_2samp(a, b).pvalue > 1e-3
    # The standard error of a variance of n normal numbers is √(2/n); of uniform ones, less.
    assert a.var() / b.var() == pytest.approx(1, abs=5 * (4 / a.size) ** 0.5)


def test_weights_of_any_type_start_from_the_same_numbers():
    single, half = torch.empty(4, 5), torch.empty(4, 5, dtype=torch.bfloat16)
    for weight in (single, half):
        normal_(weight, 1.0, generator(0, "a test"))
    assert torch.equal(single.bfloat16(), half)


def weights() -> dict[str, torch.Tensor]:
    """Return all that is drawn for one seed."""
    model = DiT(8, 2, 1, hidden_size=16, depth=2, num_heads=2)
    model.initialize_weights(generator(0, "backbone initialisation"))
    options = {"gate_timestep": "permuted", "prompt_init": 0.1, "block_index": "embedded"}
    attached = patch(model, PatchConfig(**options))
    return model.state_dict() | attached.state_dict() | new_classifier(1, 10).state_dict()


def test_no_weight_takes_anything_from_torchs_generators(monkeypatch):
    before = weights()
    with torch.random.fork_rng():
        torch.manual_seed(17)  # of which the constructors of layers draw what is then replaced
        again = weights()
    assert all(torch.equal(value, again[name]) for name, value in before.items())
    assert np.array_equal(np.sort(before["permutation"]), np.arange(1000))
    monkeypatch.setattr(torch, "Generator", None)
    weights()
