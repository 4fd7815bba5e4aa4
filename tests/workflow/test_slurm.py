"""The workflow through a real Slurm, with a job that is cancelled and recovers."""

import shutil
import subprocess
import threading
import uuid
from pathlib import Path

import pytest
from harness import ROOT, edit_yaml, make_tiny, run_command

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        not shutil.which("sinfo") or subprocess.run(["sinfo"], capture_output=True).returncode != 0,
        reason="no Slurm answers here; as root, `bash .ci/slurm.sh up` starts one",
    ),
]


def cancel_one_training(prefix: str, done: threading.Event) -> None:
    """Cancel this test's first job that trains a baseline, as soon as the queue shows it running.

    Only jobs whose name has ``prefix`` are looked at: the queue may hold real training of the user.
    """
    while not done.wait(0.1):
        queue = subprocess.run(
            ["squeue", "--me", "--noheader", "--states=R", "--format=%i %j %k"],
            capture_output=True,
            text=True,
        )
        for line in queue.stdout.splitlines():
            number, name, comment = line.split(maxsplit=2)
            if name.startswith(prefix) and "pretrain" in comment:
                subprocess.run(["scancel", number], check=True)
                done.set()
                return


def head() -> str:
    return run_command("git", "rev-parse", "HEAD").stdout


def test_workflow_recovers_from_a_cancelled_job_and_gives_the_bytes_of_a_local_run(tmp_path):
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", tmp_path / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d.update(seeds=1))

    def command(results: str, *more: str) -> list[str]:
        return [
            *("snakemake", "tables", "--nolock", *more, "--config", "scale=smoke"),
            *(f"results={tmp_path / results}", f"ablations={ablations}"),
        ]

    commit = head()
    prefix = f"dmp-test-{uuid.uuid4().hex[:8]}"
    done = threading.Event()
    watcher = threading.Thread(target=cancel_one_training, args=(prefix, done))
    watcher.start()
    try:
        through_slurm = run_command(
            *command(
                *("slurm", "--profile", "slurm", "--slurm-jobname-prefix", prefix),
                *("--slurm-logdir", str(tmp_path / "slurm_logs")),
                *("--slurm-init-seconds-before-status-checks", "1"),
            )
        )
        cancelled = done.is_set()
    finally:
        done.set()
        watcher.join()
    said = through_slurm.stdout + through_slurm.stderr
    assert through_slurm.returncode == 0, said
    assert cancelled, "no running job was found to cancel"
    assert "Trying to restart job" in said

    local = run_command(*command("local", "--cores", "2"))
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
