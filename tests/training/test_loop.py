"""Training can be killed at any moment, and what trains is exactly what the method says."""

import errno
import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from small_training import (
    CONFIG,
    METHODS,
    assert_same,
    interrupt,
    logged,
    make_objective,
    make_stream,
    train,
)
from tiny_models import build_unet

from dmp.config import PatchConfig
from dmp.data.examples import Pixels
from dmp.data.registry import Images
from dmp.data.stream import TrainingStream
from dmp.diffusion import Diffusion
from dmp.errors import DMPError
from dmp.methods.patched import AttachedPatch
from dmp.patching import patch
from dmp.training import DivergedError, Objective, fit, meter


class Killed(BaseException):
    """Stands for a kill: nothing in the code catches it."""


def kill() -> None:
    raise Killed


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("killed_at", [1, 3, 4, 8, 11])
def test_killed_run_ends_bit_identical(tmp_path, monkeypatch, method, killed_at):
    through = train(tmp_path / "through", METHODS[method])
    interrupt(monkeypatch, [killed_at + 1], kill)
    with pytest.raises(Killed):
        train(tmp_path / "killed", METHODS[method])
    assert_same(train(tmp_path / "killed", METHODS[method]), through)
    assert logged(tmp_path / "killed") == logged(tmp_path / "through")


def test_killed_baseline_ends_with_the_same_averaged_weights(tmp_path):
    through = train(tmp_path / "through", ema_decay=0.9)
    for iterations in (3, 9, 12):
        changes = {"iterations": iterations}
        in_parts = train(tmp_path / "in parts", changes=changes, ema_decay=0.9)
    assert_same(in_parts, through)


def test_average_is_the_closed_form(tmp_path):
    def watched(name: str, decay: float | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
        objective, seen = make_objective(None), []
        weight = objective.backbone.x_embedder.proj.weight
        fit(
            objective,
            make_stream(),
            CONFIG,
            tmp_path / name,
            "id",
            ema_decay=decay,
            snapshots=range(13),
            on_snapshot=lambda _: seen.append(weight.detach().clone()),
        )
        return weight.detach(), seen

    last, weights = watched("weights", None)
    assert len(weights) == 13
    assert torch.equal(last, weights[-1])
    last, averages = watched("ema", 0.8)
    assert torch.equal(averages[0], weights[0])
    for t in range(1, 13):
        # Of the t iterations alone, each counting 0.8 times as much as the one after it.
        counts = torch.tensor([0.8 ** (t - s) for s in range(1, t + 1)], dtype=torch.float64)
        seen = torch.stack(weights[1 : t + 1]).double()
        expected = torch.tensordot(counts / counts.sum(), seen, dims=1)
        torch.testing.assert_close(averages[t].double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(last, averages[-1])


def test_patch_alone_is_averaged(tmp_path):
    plain = train(tmp_path / "plain", METHODS["dmp"])
    averaged = train(tmp_path / "ema", METHODS["dmp"], ema_decay=0.9)
    assert 0 < averaged.added.prompts.norm() < plain.added.prompts.norm()
    for a, b in zip(averaged.backbone.parameters(), plain.backbone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_baselines_training_goes_on_as_if_it_had_never_ended(tmp_path):
    """Twelve iterations and twelve more, on the examples that come next, are twenty-four."""
    through = train(tmp_path / "through", changes={"iterations": 24}, ema_decay=0.9)
    train(tmp_path / "first", identity="first", ema_decay=0.9)
    checkpoint = tmp_path / "first/checkpoint.safetensors"
    rest = make_stream(skip=CONFIG.iterations * CONFIG.batch_size)
    goes_on = {"seed": 5, "stream": rest, "ema_decay": 0.9}
    continued = train(tmp_path / "rest", start=(checkpoint, "first"), **goes_on)
    assert_same(continued, through)
    with pytest.raises(DMPError, match="another configuration"):
        train(tmp_path / "other", start=(checkpoint, "second"), **goes_on)


def test_gate_learns_at_a_rate_of_its_own():
    objective = make_objective(PatchConfig(gate_learning_rate_factor=10))
    prompts, gate = objective.groups(0.1)
    assert [id(p) for p in prompts["params"]] == [id(objective.added.prompts)]
    assert {id(p) for p in gate["params"]} == {id(p) for p in objective.added.gate.parameters()}
    assert (prompts["lr"], gate["lr"]) == (0.1, 1.0)
    (everything,) = make_objective(PatchConfig()).groups(0.1)
    assert len(everything["params"]) == 3


def test_simple_loss_leaves_the_bound_out():
    batch = make_stream()[0]
    totals = {}
    for loss in ("hybrid", "simple"):
        objective = make_objective(None)
        terms = Objective(objective.backbone, objective.diffusion, None, loss)(batch)
        totals[loss] = float(terms.total) - float(terms.mse.mean())
        expected = float(terms.vb.mean()) if loss == "hybrid" else 0.0
        assert totals[loss] == pytest.approx(expected, abs=1e-6)
    assert totals["hybrid"] > 0.001


@pytest.mark.parametrize("method", ["prompt-tuning", "dmp"])
def test_frozen_backbone_keeps_every_bit(tmp_path, method):
    start, trained = make_objective(METHODS[method]), train(tmp_path, METHODS[method])
    for name, parameter in trained.state_dict().items():
        same = torch.equal(parameter, start.state_dict()[name])
        assert same == name.startswith("backbone."), name


def test_importance_loss_changes_the_gate(tmp_path):
    gates = [
        train(tmp_path / str(weight), PatchConfig(importance_weight=weight)).added.gate
        for weight in (0.0, 1.0)
    ]
    assert not torch.equal(*(gate.linear.weight for gate in gates))


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    train(tmp_path, identity="old")
    with pytest.raises(DMPError, match=r"checkpoint.safetensors is a checkpoint of another conf"):
        train(tmp_path, identity="new")


def test_truncated_checkpoint_is_refused(tmp_path):
    train(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DMPError, match=r"checkpoint.safetensors is truncated or corrupt"):
        train(tmp_path)


def test_full_disk_while_saving_is_one_error_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    train(tmp_path, changes={"iterations": 6})
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dmp.tensorfile.save_file", fail)
    with pytest.raises(DMPError, match="no space is left"):
        train(tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {
        *("checkpoint.safetensors", "log.jsonl", ".log.jsonl.sha256")
    }


def test_divergence_names_the_learning_rate_and_the_iteration(tmp_path):
    with pytest.raises(DivergedError, match=r"diverged: .*learning_rate = 1e\+30") as caught:
        train(tmp_path, changes={"learning_rate": 1e30})
    assert caught.value.step == 3


def test_log_holds_losses_by_timestep_gate_and_speed(tmp_path):
    train(tmp_path, PatchConfig())
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    expected = {"loss", "loss/mse", "loss/vb", "loss/importance", "loss/load", "gate/entropy"}
    assert expected | {"steps_per_second", "memory_mb", "time"} <= set(records[0])
    assert any(name.startswith("loss_mse/") for name in records[0])
    assert records[0]["loss/load"] == 0


def test_bin_losses_average_to_the_loss(tmp_path):
    """The bins' losses, weighted by how often each was drawn, are the mean loss."""
    train(tmp_path, changes={"iterations": 3})
    record = json.loads((tmp_path / "log.jsonl").read_text())
    timesteps = make_stream().__getitems__(range(24)).timesteps
    counts = torch.bincount(timesteps * meter.BINS // 1000, minlength=meter.BINS)
    total = sum(
        record[f"loss_mse/{100 * i}-{100 * i + 99}"] * int(count)
        for i, count in enumerate(counts)
        if count
    )
    assert total / 24 == pytest.approx(record["loss/mse"], rel=1e-6)


def test_log_says_how_much_of_the_prompts_arrived_where_tokens_are_in_half_precision(tmp_path):
    """A U-Net's tokens are under autocast, and our DiT's are not: its positions are float32."""
    logs = {}
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 8, 8), dtype=np.uint8)
    stream = TrainingStream(Pixels(Images(images, np.zeros(40, np.int64))), 0, 1000, flip=False)
    for precision in ("bf16", "fp32"):
        backbone = build_unet()
        attached = AttachedPatch(backbone, patch(backbone, PatchConfig()))
        diffusion = Diffusion("cosine", learned_variance=False)
        objective = Objective(backbone, diffusion, attached, "simple")
        AcceleratorState._reset_state(reset_partial_state=True)  # a process has one precision
        try:
            fit(objective, stream, CONFIG, tmp_path / precision, "id", precision)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)
        logs[precision] = logged(tmp_path / precision)
    assert all(0.99 < record["prompts/arrived"] < 1.01 for record in logs["bf16"])
    assert not any("prompts/arrived" in record for record in logs["fp32"])
