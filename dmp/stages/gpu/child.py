"""What the processes do that :mod:`dmp.stages.gpu.processes` starts and, some of them, kills.

    python -m dmp.stages.gpu.child lease FOLDER
    python -m dmp.stages.gpu.child train FOLDER MODEL [killed]

The model is JSON. ``killed`` ends the training by SIGKILL, some iterations after a checkpoint.
"""

import json
import os
import signal
import sys
from pathlib import Path

# Checkpoints come before the iteration in which a training is killed, and after it.
ITERATIONS, CHECKPOINT_EVERY, KILLED_AFTER = 12, 4, 6
IDENTITY, WEIGHTS, STATE = "gpu-check", "weights.safetensors", "state.json"
LEASED = 75  # percent
BATCH, IMAGES = 8, 64


def lease(folder: Path) -> None:
    """Hold most of a GPU, say so, and wait for the end of the input."""
    from dmp.running.lease import leased_gpus

    with leased_gpus(1, LEASED, folder=folder):
        print("leased", flush=True)
        sys.stdin.read()


def train(folder: Path, described: dict, killed: bool = False) -> None:
    """Train a patch and write it, and on what it was trained; or go on with what is there.

    Args:
        described: sizes of the model, precision, threads.
        killed: whether this process is to be killed midway.
    """
    import numpy as np
    import torch

    from dmp.config import TrainingConfig
    from dmp.data.examples import Pixels
    from dmp.data.registry import Images
    from dmp.data.stream import TrainingStream
    from dmp.planning.throughput import Sizes
    from dmp.rng import generator
    from dmp.running.processes import leave_group
    from dmp.stages.common import settle_torch
    from dmp.stages.gpu.models import TIMESTEPS, Model, attach, objective
    from dmp.training import fit

    device = settle_torch(described["threads"])
    model = Model(Sizes(**described["sizes"]), BATCH, BATCH)
    shape = (IMAGES, model.sizes.channels, model.sizes.input_size, model.sizes.input_size)
    images = generator(0, "gpu-check").integers(0, 256, shape, np.uint8)
    stream = TrainingStream(
        Pixels(Images(images, np.zeros(IMAGES, np.int64))), 0, TIMESTEPS, flip=False
    )
    config = TrainingConfig(
        iterations=ITERATIONS, batch_size=BATCH, learning_rate=1e-4, log_every=CHECKPOINT_EVERY,
        checkpoint_every=CHECKPOINT_EVERY,
    )  # fmt: skip
    backbone = model.build(device)
    attached = attach(backbone, "dmp")
    fit(
        objective(backbone, attached),
        stream,
        config,
        folder,
        IDENTITY,
        precision=described["precision"],
        snapshots=[KILLED_AFTER] if killed else [],
        on_snapshot=lambda _: os.kill(os.getpid(), signal.SIGKILL),
    )
    joined = torch.distributed.is_initialized()
    backend = torch.distributed.get_backend() if joined else None
    leave_group()
    attached.save(folder / WEIGHTS, IDENTITY)
    (folder / STATE).write_text(json.dumps({"device": device, "backend": backend}))


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "lease":
        lease(place)
    else:
        train(place, json.loads(sys.argv[3]), "killed" in sys.argv[4:])
