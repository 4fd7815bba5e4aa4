"""Training can be killed at any moment, and what trains is exactly what the method says."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from small_training import CONFIG, METHODS, logged, make_objective, make_stream, state
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("killed_at", [1, 3, 4, 8, 11])
def test_killed_run_ends_bit_identical(tmp_path, monkeypatch, method, killed_at):
    through = make_objective(METHODS[method])
    fit(through, make_stream(), CONFIG, tmp_path / "through", "id")

    killed = make_objective(METHODS[method])
    steps = 0
    original = Objective.forward

    def forward(self, batch):
        nonlocal steps
        steps += 1
        if steps == killed_at + 1:
            raise Killed
        return original(self, batch)

    monkeypatch.setattr(Objective, "forward", forward)
    with pytest.raises(Killed):
        fit(killed, make_stream(), CONFIG, tmp_path / "killed", "id")
    again = make_objective(METHODS[method])
    fit(again, make_stream(), CONFIG, tmp_path / "killed", "id")

    expected = state(through)
    for name, value in state(again).items():
        assert torch.equal(value, expected[name]), name
    assert logged(tmp_path / "killed") == logged(tmp_path / "through")


def test_killed_baseline_ends_with_the_same_averaged_weights(tmp_path):
    averaged = []
    for name, parts in (("through", [12]), ("in parts", [3, 9, 12])):
        for iterations in parts:
            config = CONFIG.model_copy(update={"iterations": iterations})
            objective = make_objective(None)
            fit(objective, make_stream(), config, tmp_path / name, "id", ema_decay=0.9)
        averaged.append(objective.backbone.state_dict())
    for name, value in averaged[0].items():
        assert torch.equal(value, averaged[1][name]), name


def test_average_is_the_closed_form(tmp_path):
    def train(name: str, decay: float | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
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

    last, weights = train("weights", None)
    assert len(weights) == 13
    assert torch.equal(last, weights[-1])
    last, averages = train("ema", 0.8)
    assert torch.equal(averages[0], weights[0])
    for t in range(1, 13):
        # Of the t iterations alone, each counting 0.8 times as much as the one after it.
        counts = torch.tensor([0.8 ** (t - s) for s in range(1, t + 1)], dtype=torch.float64)
        seen = torch.stack(weights[1 : t + 1]).double()
        expected = torch.tensordot(counts / counts.sum(), seen, dims=1)
        torch.testing.assert_close(averages[t].double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(last, averages[-1])


def test_patch_alone_is_averaged(tmp_path):
    plain, averaged = make_objective(METHODS["dmp"]), make_objective(METHODS["dmp"])
    fit(plain, make_stream(), CONFIG, tmp_path / "plain", "id")
    fit(averaged, make_stream(), CONFIG, tmp_path / "ema", "id", ema_decay=0.9)
    assert 0 < averaged.added.prompts.norm() < plain.added.prompts.norm()
    for a, b in zip(averaged.backbone.parameters(), plain.backbone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_goes_on_from_another_trainings_checkpoint(tmp_path):
    """Twelve iterations and twelve more are not twelve from the start, but they are repeatable."""
    fit(make_objective(None), make_stream(), CONFIG, tmp_path / "first", "first", ema_decay=0.9)
    checkpoint = tmp_path / "first/checkpoint.safetensors"
    ends = []
    for name in ("a", "b"):
        objective = make_objective(None, seed=5)
        start = (checkpoint, "first")
        fit(objective, make_stream(), CONFIG, tmp_path / name, name, ema_decay=0.9, start=start)
        ends.append(state(objective))
    alone = make_objective(None)
    fit(alone, make_stream(), CONFIG, tmp_path / "alone", "id", ema_decay=0.9)
    weight = "backbone.x_embedder.proj.weight"
    assert torch.equal(ends[0][weight], ends[1][weight])
    assert not torch.equal(ends[0][weight], state(alone)[weight])
    with pytest.raises(DMPError, match="another configuration"):
        fit(alone, make_stream(), CONFIG, tmp_path / "c", "c", start=(checkpoint, "second"))


def test_a_baselines_training_goes_on_as_if_it_had_never_ended(tmp_path):
    """Twelve iterations and twelve more, on the examples that come next, are twenty-four."""
    longer = CONFIG.model_copy(update={"iterations": 24})
    through = make_objective(None)
    fit(through, make_stream(), longer, tmp_path / "through", "id", ema_decay=0.9)
    fit(make_objective(None), make_stream(), CONFIG, tmp_path / "first", "first", ema_decay=0.9)
    start = (tmp_path / "first/checkpoint.safetensors", "first")
    continued = make_objective(None, seed=5)
    rest = make_stream(skip=CONFIG.iterations * CONFIG.batch_size)
    fit(continued, rest, CONFIG, tmp_path / "rest", "rest", ema_decay=0.9, start=start)
    ended = state(continued)
    assert all(torch.equal(ended[name], value) for name, value in state(through).items())


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
    objective = make_objective(METHODS[method])
    before = {name: p.clone() for name, p in objective.backbone.named_parameters()}
    patched = {name: p.clone() for name, p in objective.added.named_parameters()}
    fit(objective, make_stream(), CONFIG, tmp_path, "id")
    for name, parameter in objective.backbone.named_parameters():
        assert torch.equal(parameter, before[name]), name
    for name, parameter in objective.added.named_parameters():
        assert not torch.equal(parameter, patched[name]), name


def test_importance_loss_changes_the_gate(tmp_path):
    trained = []
    for weight in (0.0, 1.0):
        objective = make_objective(PatchConfig(importance_weight=weight))
        fit(objective, make_stream(), CONFIG, tmp_path / str(weight), "id")
        trained.append(objective.added.gate.linear.weight)
    assert not torch.equal(*trained)


def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    fit(make_objective(None), make_stream(), CONFIG, tmp_path, "old")
    with pytest.raises(DMPError, match=r"checkpoint.safetensors is a checkpoint of another conf"):
        fit(make_objective(None), make_stream(), CONFIG, tmp_path, "new")


def test_truncated_checkpoint_is_refused(tmp_path):
    fit(make_objective(None), make_stream(), CONFIG, tmp_path, "id")
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DMPError, match=r"checkpoint.safetensors is truncated or corrupt"):
        fit(make_objective(None), make_stream(), CONFIG, tmp_path, "id")


def test_full_disk_while_saving_is_one_error_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    import errno

    short = CONFIG.model_copy(update={"iterations": 6})
    fit(make_objective(None), make_stream(), short, tmp_path, "id")
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dmp.tensorfile.save_file", fail)
    with pytest.raises(DMPError, match="no space is left"):
        fit(make_objective(None), make_stream(), CONFIG, tmp_path, "id")
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {
        *("checkpoint.safetensors", "log.jsonl", ".log.jsonl.sha256")
    }


def test_divergence_names_the_learning_rate_and_the_iteration(tmp_path):
    config = CONFIG.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(DivergedError, match=r"diverged: .*learning_rate = 1e\+30") as caught:
        fit(make_objective(None), make_stream(), config, tmp_path, "id")
    assert caught.value.step == 3


def test_log_holds_losses_by_timestep_gate_and_speed(tmp_path):
    fit(make_objective(PatchConfig()), make_stream(), CONFIG, tmp_path, "id")
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    expected = {"loss", "loss/mse", "loss/vb", "loss/importance", "loss/load", "gate/entropy"}
    assert expected | {"steps_per_second", "memory_mb", "time"} <= set(records[0])
    assert any(name.startswith("loss_mse/") for name in records[0])
    assert records[0]["loss/load"] == 0


def test_bin_losses_average_to_the_loss(tmp_path):
    """The bins' losses, weighted by how often each was drawn, are the mean loss."""
    config = CONFIG.model_copy(update={"iterations": 3})
    objective, stream = make_objective(None), make_stream()
    fit(objective, stream, config, tmp_path, "id")
    record = json.loads((tmp_path / "log.jsonl").read_text())
    timesteps = stream.__getitems__(range(24)).timesteps
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
