"""Two processes that share each batch compute what one computes."""

import sys
from pathlib import Path

import pytest
import torch
from harness import ROOT, run_command
from small_training import SHARED, logged, make_objective, make_stream, train

from dmp.backbones import DiT
from dmp.config import PatchConfig
from dmp.methods.patched import AttachedPatch
from dmp.patching import patch
from dmp.studies import load_plan
from dmp.training import Objective, loop


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """What two processes wrote, one folder for each training."""
    folder = tmp_path_factory.mktemp("shared")
    process = run_command(
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *(str(Path(__file__).with_name("shared_fit.py")), str(folder)),
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


@pytest.fixture
def alone(tmp_path, method) -> tuple[Path, dict[str, torch.Tensor]]:
    torch.set_num_threads(1)
    decay = 0.9 if method == "fine-tuning" else None
    return tmp_path, train(tmp_path, SHARED[method], ema_decay=decay).state_dict()


def vanishing(name: str, value: torch.Tensor) -> torch.Tensor:
    """Leave out the keys' bias: a softmax over keys does not see it, so its gradient is noise."""
    if name.endswith("qkv.bias"):
        query, _, values = value.chunk(3)
        return torch.cat([query, values])
    return value


@pytest.mark.parametrize("method", SHARED)
def test_weights_are_those_of_one_process(shared, alone, method):
    first, second = (torch.load(shared / method / f"state{rank}.pt") for rank in (0, 1))
    for name, expected in alone[1].items():
        assert torch.equal(first[name], second[name]), name
        actual, expected = vanishing(name, first[name]), vanishing(name, expected)
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("method", SHARED)
def test_log_is_that_of_one_process(shared, alone, method):
    records, expected = logged(shared / method), logged(alone[0])
    assert [list(record) for record in records] == [list(record) for record in expected]
    for record, other in zip(records, expected, strict=True):
        assert record == pytest.approx(other, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("method", SHARED)
def test_first_process_alone_writes(shared, method):
    names = {path.name for path in (shared / method).iterdir()}
    written = {"checkpoint.safetensors", "log.jsonl", ".log.jsonl.sha256", "snapshot6"}
    assert names == written | {"state0.pt", "state1.pt"}


def test_signal_to_one_process_ends_all_after_the_same_iteration(shared):
    told = [(shared / "stopped" / f"stopped{rank}").read_text() for rank in (0, 1)]
    assert all(f"saved after iteration {loop.AGREE_EVERY} of 12" in text for text in told)
    assert "by SIGTERM" in told[1]
    assert "by another process" in told[0]


def test_stopped_processes_go_on_bit_identically(shared):
    through, stopped = (torch.load(shared / name / "state0.pt") for name in ("dmp", "stopped"))
    for name, value in through.items():
        assert torch.equal(stopped[name], value), name
    for record, other in zip(logged(shared / "stopped"), logged(shared / "dmp"), strict=True):
        assert record == pytest.approx(other, rel=1e-12)


def all_patches() -> list[PatchConfig]:
    """Every patch of every study."""
    plan = load_plan("digits", ROOT / "ablations")
    found = [plan.run(task, variant, 0).patch for task, variant in plan.variants()]
    unique = {str(config): config for config in found if config is not None}
    return list(unique.values())


def test_prompts_alone_may_be_without_gradient_and_only_where_the_gate_ignores_them():
    """The processes look for parameters without a gradient, which averaging has to leave out."""
    configs = all_patches()
    assert len(configs) > 20
    batch = make_stream().__getitems__(range(4))
    diffusion = make_objective(None).diffusion
    for config in configs:
        backbone = DiT(8, 4, 1, hidden_size=16, depth=4, num_heads=2)
        attached = patch(backbone, config)
        if config.gate_noise:
            attached.noise = torch.randn(4, *attached.prompts.shape[:2])
        objective = Objective(backbone, diffusion, AttachedPatch(backbone, attached))
        objective(batch).total.backward()
        without = [name for name, p in objective.trainable().items() if p.grad is None]
        literal = config.gate == "attention-literal"
        assert without == (["added.prompts"] if literal else []), (config, without)
    backbone = make_objective(None)
    backbone(batch).total.backward()
    assert all(p.grad is not None for p in backbone.parameters() if p.requires_grad)
