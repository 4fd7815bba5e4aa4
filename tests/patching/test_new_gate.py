"""A gate from outside of the package: one class, and its name in a variant."""

import pytest
import torch
from test_patch import make_backbone, make_inputs
from torch import nn

from dmp.config import PatchConfig
from dmp.config.gates import BUILT_IN, gate_names
from dmp.errors import DMPError
from dmp.methods import Variant, find_method
from dmp.patching import GATES, Gate, patch, register_gate


@pytest.fixture
def cosine(monkeypatch):
    """A gate whose weights follow the timestep by a learned phase for each prompt."""
    monkeypatch.setattr("dmp.config.gates._ANNOUNCED", set())

    class Cosine(Gate):
        needs = {"selection": ("distinct",)}

        def __init__(self, config, points, prompts, blocks):
            super().__init__(config, points, prompts, blocks)
            self.phase = nn.Parameter(torch.zeros(prompts, points.condition_size))

        def logits(self, condition, block, prompts):
            return torch.cos(condition) @ self.phase.T

    monkeypatch.setitem(GATES, "cosine", Cosine)
    return register_gate("cosine")(Cosine)


def test_names_are_known_without_importing_and_every_name_is_a_gate():
    assert {"linear", "constant", "attention", "attention-literal"} <= set(BUILT_IN)
    from dmp.patching.gates import find_gate

    assert all(issubclass(find_gate(name), Gate) for name in BUILT_IN)


def test_a_new_gate_is_a_variant_that_trains_and_counts(cosine):
    variant = Variant.parse("dmp,gate=cosine")
    assert variant.name == "dmp,gate=cosine"
    assert "cosine" in gate_names()
    model, inputs = make_backbone(), make_inputs()
    before = model(*inputs)
    attached = find_method("dmp").attach(model, variant.options, 0)
    assert torch.equal(model(*inputs), before)
    added = sum(p.numel() for p in attached.module.gate_parameters())
    assert added == attached.module.gate.phase.numel()
    (model(*inputs).square().mean() + attached.losses()[0]).backward()
    assert attached.module.prompts.grad is not None


def test_a_gate_says_which_options_it_is_defined_for(cosine):
    options = PatchConfig(gate="cosine", selection="uniform")
    with pytest.raises(DMPError, match="gate = cosine is defined for selection = distinct, not"):
        patch(make_backbone(), options)


def test_an_unknown_gate_is_refused_with_the_known_ones():
    with pytest.raises(DMPError, match="unknown gate: did you mean 'linear'"):
        Variant.parse("dmp,gate=linaer")
