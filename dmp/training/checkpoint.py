"""The state of an unfinished training, from which it goes on bit-identically."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, understood
from dmp.tensorfile import load_tensors, save_tensors
from dmp.training.meter import MeterState


class Progress(NamedTuple):
    """How far a training is.

    Attributes:
        step: iterations done.
        meter: what the log has not said yet.
        averaged: iterations behind the average; more than ``step`` where it began with another's.
    """

    step: int = 0
    meter: MeterState = MeterState()
    averaged: int = 0


def save_checkpoint(
    path: Path,
    identity: str,
    progress: Progress,
    trainable: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor] | None,
) -> None:
    """Write weights, optimiser state, EMA weights and progress, atomically.

    Args:
        identity: hash of the configuration that decides the weights.
        trainable: the parameters that train, by name.
        optimizer: its state belongs to ``trainable`` in the same order.
        averaged: the averages of ``trainable``, or None.
    """
    tensors: dict[str, Tensor] = {f"weights/{name}": p for name, p in trainable.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items()}
    if averaged is not None:
        tensors |= {f"ema/{name}": value for name, value in averaged.items()}
    tensors |= {f"meter/{name}": value for name, value in progress.meter.sums.items()}
    description = {"format": "checkpoint", "identity": identity, "step": progress.step,
                   "averaged": progress.averaged}  # fmt: skip
    if progress.meter.steps:
        # By name in their order: records of the log keep it.
        description["meter"] = {"steps": progress.meter.steps, "sums": list(progress.meter.sums)}
    save_tensors(path, tensors, description)


def load_checkpoint(
    path: Path,
    identity: str,
    trainable: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor] | None,
) -> Progress:
    """Restore what :func:`save_checkpoint` wrote; return how far the training was.

    Raises:
        DMPError: the file is corrupt, or was written under another configuration.
    """
    # One that is not finite is read as well: the training then says at its next record that it has
    # diverged, which is an outcome of the run and no damage to a file.
    tensors, description = load_tensors(path, STAGE_OUTPUT, finite=False)
    if description.get("format") != "checkpoint" or description.get("identity") != identity:
        raise DMPError(
            f"{path} is a checkpoint of another configuration ({description.get('identity')}, not "
            f"{identity}); delete it to train from the start"
        )
    with understood(path):
        kinds = ("weights", "optimizer", "ema", "meter")
        parts: dict[str, dict[str, Tensor]] = {kind: {} for kind in kinds}
        for name, value in tensors.items():
            kind, rest = name.split("/", 1)
            parts[kind][rest] = value
        with torch.no_grad():
            for name, parameter in trainable.items():
                parameter.copy_(parts["weights"][name])
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            index, key = name.split("/", 1)
            state.setdefault(int(index), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        if averaged is not None:
            for name, value in averaged.items():
                value.copy_(parts["ema"][name])
        meter = description.get("meter", {"steps": 0, "sums": []})
        sums = {name: parts["meter"][name] for name in meter["sums"]}
        unsaid = MeterState(int(meter["steps"]), sums)
        return Progress(int(description["step"]), unsaid, int(description["averaged"]))
