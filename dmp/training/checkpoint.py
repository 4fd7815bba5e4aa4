"""The state of an unfinished training, from which it goes on bit-identically."""

from pathlib import Path

import torch
from torch import Tensor, nn

from dmp.errors import DMPError
from dmp.tensorfile import load_tensors, save_tensors


def save_checkpoint(
    path: Path,
    identity: str,
    step: int,
    trainable: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor] | None,
) -> None:
    """Write weights, optimiser state and EMA weights after ``step`` iterations, atomically.

    Args:
        path: the file.
        identity: hash of the configuration that decides the weights.
        step: iterations done.
        trainable: the parameters that train, by name.
        optimizer: its state belongs to ``trainable`` in the same order.
        averaged: the averages of ``trainable``, or None.

    """
    tensors: dict[str, Tensor] = {f"weights/{name}": p for name, p in trainable.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items()}
    if averaged is not None:
        tensors |= {f"ema/{name}": value for name, value in averaged.items()}
    save_tensors(path, tensors, {"format": "checkpoint", "identity": identity, "step": step})


def load_checkpoint(
    path: Path,
    identity: str,
    trainable: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor] | None,
) -> int:
    """Restore what :func:`save_checkpoint` wrote; return the number of iterations done.

    Raises:
        DMPError: the file is corrupt, or was written under another configuration.

    """
    tensors, description = load_tensors(path)
    if description.get("format") != "checkpoint" or description.get("identity") != identity:
        raise DMPError(
            f"{path} is a checkpoint of another configuration ({description.get('identity')}, not "
            f"{identity}); delete it to train from the start"
        )
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "ema": {}}
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
    return int(description["step"])
