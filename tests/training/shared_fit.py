"""What one of several processes does; started by test_processes.py, not a test."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from small_training import SHARED, interrupt, train

from dmp.running.processes import leave_group
from dmp.running.signals import PreemptedError


def train_shared(directory: Path, method: str, ema_decay: float | None) -> None:
    def snapshot(step: int) -> None:
        (directory / f"snapshot{step}").touch()

    options = {"ema_decay": ema_decay, "snapshots": [6], "on_snapshot": snapshot}
    try:
        objective = train(directory, SHARED[method], **options)
    except PreemptedError as error:
        (directory / f"stopped{os.environ['RANK']}").write_text(str(error))
        return
    torch.save(objective.state_dict(), directory / f"state{os.environ['RANK']}.pt")


def stop_second_process() -> None:
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for name in SHARED:
        train_shared(folder / name, name, 0.9 if name == "fine-tuning" else None)
    with pytest.MonkeyPatch.context() as patcher:
        interrupt(patcher, [3], stop_second_process)
        for _ in range(2):
            train_shared(folder / "stopped", "dmp", None)
    leave_group()
