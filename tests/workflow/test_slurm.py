"""The workflow through a real Slurm, with a job that is cancelled and recovers."""

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


def stop_one_training(prefix: str, done: threading.Event, log: Path | None, *options: str) -> None:
    """Let ``scancel`` stop this test's first job that trains a baseline, while it is running.

    Only jobs whose name has ``prefix`` are looked at: the queue may hold real training of the user.

    Args:
        prefix: of the jobs' names.
        done: set once a job was stopped, or to give up.
        log: waited for, if given: it exists once the training itself has begun.
        options: for ``scancel``; none cancels the job.
    """
    while not done.wait(0.1):
        if log is not None and not (log.is_file() and log.stat().st_size):
            continue
        queue = subprocess.run(
            ["squeue", "--me", "--noheader", "--states=R", "--format=%i %j %k"],
            capture_output=True,
            text=True,
        )
        for line in queue.stdout.splitlines():
            number, name, comment = line.split(maxsplit=2)
            if name.startswith(prefix) and "pretrain" in comment:
                subprocess.run(["scancel", *options, number], check=True)
                done.set()
                return


def through_slurm(
    command: list[str], logs: Path, log: Path | None = None, options: tuple[str, ...] = ()
) -> tuple[subprocess.CompletedProcess, bool]:
    """Run a command with the Slurm profile, stop one training, return whether one was found."""
    prefix = f"dmp-test-{uuid.uuid4().hex[:8]}"
    done = threading.Event()
    watcher = threading.Thread(target=stop_one_training, args=(prefix, done, log, *options))
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


def head() -> str:
    return run_command("git", "rev-parse", "HEAD").stdout


def test_workflow_recovers_from_a_cancelled_job_and_gives_the_bytes_of_a_local_run(tmp_path):
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", tmp_path / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d.update(seeds=1))

    def commas(study: dict) -> None:
        study["cells"][1].update(variant="dmp,depth=1,gate=constant")
        study["comparisons"][0].update(variant="dmp,depth=1,gate=constant")

    edit_yaml(ablations / "studies/table2.yaml", commas)

    def command(results: str) -> list[str]:
        return [
            *("snakemake", "tables", "--nolock", "--config", "scale=smoke"),
            *(f"results={tmp_path / results}", f"ablations={ablations}"),
        ]

    commit = head()
    process, cancelled = through_slurm(command("slurm"), tmp_path / "slurm_logs")
    said = process.stdout + process.stderr
    assert process.returncode == 0, said
    assert cancelled, "no running job was found to cancel"
    assert "Trying to restart job" in said

    local = run_command(*command("local"), "--cores", "2")
    assert local.returncode == 0, local.stdout + local.stderr
    # Every row holds the commit, so a commit made meanwhile changes bytes for no fault of the code.
    assert head() == commit, "the commit changed during the test; run it again on a quiet checkout"
    for name in (
        "numbers/tables.csv",
        "numbers/tables-baselines.csv",
        "tables/table2.md",
        "tables/table1.md",
    ):
        first, second = (tmp_path / folder / "smoke" / name for folder in ("slurm", "local"))
        assert first.read_bytes() == second.read_bytes(), name


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
            log, options = folder / "log.jsonl", ("--signal=TERM",)
            process, stopped = through_slurm(command, tmp_path / "slurm_logs", log, options)
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
