"""Weight decay is AdamW's: apart from the gradient, of what trains alone, at each group's rate."""

import pytest
import torch
from small_training import CONFIG, make_objective, train

from dmp.config import PatchConfig

DECAY, FACTOR = 0.3, 5.0


@pytest.mark.parametrize("method", ["fine-tuning", "dmp"])
def test_one_step_shrinks_what_trains_by_rate_times_decay(tmp_path, method):
    """The first step of Adam is the same with and without: w - w' = rate · decay · w₀."""
    gated = PatchConfig(prompt_init=0.1, gate_learning_rate_factor=FACTOR)
    config = {"fine-tuning": None, "dmp": gated}[method]
    start = make_objective(config)
    trained = {name for name, value in start.named_parameters() if value.requires_grad}
    initial, ends = start.state_dict(), []
    for decay in (0.0, DECAY):
        changes = {"iterations": 1, "weight_decay": decay}
        ends.append(train(tmp_path / str(decay), config, changes=changes).state_dict())
    without, with_decay = ends
    shrunk = set()
    for name, value in initial.items():
        if name not in trained:
            assert torch.equal(with_decay[name], without[name]), name
            continue
        rate = CONFIG.learning_rate * (FACTOR if ".gate" in name or "gate." in name else 1)
        expected = rate * DECAY * value
        torch.testing.assert_close(without[name] - with_decay[name], expected, atol=1e-6, rtol=1e-3)
        shrunk |= {name} if expected.abs().max() > 1e-5 else set()
    assert len(shrunk) >= (10 if method == "fine-tuning" else 3)
