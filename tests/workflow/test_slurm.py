"""The workflow through a real Slurm, with a job that is told to stop and recovers.

The gate sends all of scale smoke through Slurm, cancels a job, and compares every byte with the
committed reference: `.ci/smoke_through_slurm.sh`.
"""

import shutil
import subprocess
import threading
import uuid
from pathlib import Path

import pytest
import torch
from harness import ROOT, edit_yaml, make_tiny, run_command

from dmp.tensorfile import load_tensors

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        not shutil.which("sinfo") or subprocess.run(["sinfo"], capture_output=True).returncode != 0,
        reason="no Slurm answers here; as root, `bash .ci/slurm.sh up` starts one",
    ),
]


def stop_training(prefix: str, log: Path, done: threading.Event) -> None:
    """Send SIGTERM to this test's job that trains a baseline, once the training has begun.

    Only jobs whose name has ``prefix`` are looked at: the queue may hold real training of the user.
    ``done`` is set then, or to give up.
    """
    while not done.wait(0.1):
        if not (log.is_file() and log.stat().st_size):
            continue
        queue = subprocess.run(
            ["squeue", "--me", "--noheader", "--states=R", "--format=%i %j %k"],
            capture_output=True,
            text=True,
        )
        for line in queue.stdout.splitlines():
            number, name, comment = line.split(maxsplit=2)
            if name.startswith(prefix) and "pretrain" in comment:
                subprocess.run(["scancel", "--signal=TERM", number], check=True)
                done.set()
                return


def through_slurm(
    command: list[str], logs: Path, log: Path
) -> tuple[subprocess.CompletedProcess, bool]:
    """Run a command with the Slurm profile, stop its training, return whether it was found."""
    prefix, done = f"dmp-test-{uuid.uuid4().hex[:8]}", threading.Event()
    watcher = threading.Thread(target=stop_training, args=(prefix, log, done))
    watcher.start()
    try:
        process = run_command(
            *command,
            *("--profile", "slurm", "--workflow-profile", "workflow/profiles/ci"),
            *("--slurm-jobname-prefix", prefix, "--slurm-logdir", str(logs)),
        )
        found = done.is_set()
    finally:
        done.set()
        watcher.join()
    return process, found


def test_signal_before_the_time_limit_saves_and_the_retry_goes_on(tmp_path):
    """``scancel --signal`` goes the way of the profile's ``--signal``: to the steps of the job."""
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", tmp_path / "ablations")))

    def longer(scale: dict) -> None:
        # Long enough to be stopped, and no checkpoint before the end but the signal's.
        scale["defaults"]["pretraining"].update(iterations=800, checkpoint_every=800)
        scale.update(seeds=1)

    edit_yaml(ablations / "scales/smoke.yaml", longer)
    weights, process = {}, None
    for name in ("slurm", "local"):
        folder = tmp_path / name / "smoke/pretrained/unconditional/seed0"
        command = [
            *("snakemake", str(folder / "weights.safetensors"), "--nolock"),
            *("--config", "scale=smoke"),
            *(f"results={tmp_path / name}", f"ablations={ablations}"),
        ]
        if name == "slurm":
            logs, log = tmp_path / "slurm_logs", folder / "log.jsonl"
            process, stopped = through_slurm(command, logs, log)
            said = process.stdout + process.stderr
            assert stopped, "the training ended before it could be stopped"
            assert "told to stop by SIGTERM; saved after iteration" in said
            assert "Trying to restart job" in said
        else:
            process = run_command(*command, "--cores", "1")
        assert process.returncode == 0, process.stdout + process.stderr
        weights[name] = load_tensors(folder / "weights.safetensors")[0]
    for name, value in weights["local"].items():
        assert torch.equal(value, weights["slurm"][name]), name
