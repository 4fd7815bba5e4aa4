"""What one of several processes does; started by test_processes.py, not a test."""

import os
import signal
import sys
from pathlib import Path

import torch
from small_training import CONFIG, SHARED, make_objective, make_stream

from dmp.running.processes import leave_group
from dmp.running.signals import PreemptedError
from dmp.training import Objective, fit


def train(directory: Path, method: str, ema_decay: float | None) -> None:
    objective = make_objective(SHARED[method])
    try:
        fit(
            objective,
            make_stream(),
            CONFIG,
            directory,
            "id",
            ema_decay=ema_decay,
            snapshots=[6],
            on_snapshot=lambda step: (directory / f"snapshot{step}").touch(),
        )
    except PreemptedError as error:
        (directory / f"stopped{os.environ['RANK']}").write_text(str(error))
        return
    torch.save(objective.state_dict(), directory / f"state{os.environ['RANK']}.pt")


def stop_second_process_once() -> None:
    """Send a signal to the second process alone, in its third iteration."""
    original, calls = Objective.forward, []

    def forward(self, batch):
        calls.append(None)
        if len(calls) == 3 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch)

    Objective.forward = forward


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for name in SHARED:
        train(folder / name, name, 0.9 if name == "fine-tuning" else None)
    stop_second_process_once()
    for _ in range(2):
        train(folder / "stopped", "dmp", None)
    leave_group()
