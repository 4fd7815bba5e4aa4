"""After any kill, the very same command goes on, and no byte shows it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, edit_yaml, make_tiny, run_command
from snakemake.persistence.file import FilePersistence

from dmp.running.holding import try_hold
from dmp.workflow.recovery import forget_incomplete, forget_others, take_over

RUNS = "results/smoke/runs/unconditional/dmp/seed1/finished"


def locked(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "locks").iterdir())


@pytest.fixture
def folder(tmp_path):
    """Snakemake's own folder, with locks, and a place for who holds them."""
    for name in ("locks", "holders"):
        (tmp_path / name).mkdir()
    for name in ("0.input.lock", "0.output.lock"):
        (tmp_path / "locks" / name).write_text("results/smoke/tables/table2.md\n")
    return tmp_path


def dead(folder: Path) -> None:
    code = (
        "import os; from pathlib import Path; from dmp.running.holding import try_hold; "
        f"file = try_hold(Path({str(folder)!r}) / 'holders/dead.json'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT)


def test_lock_of_a_snakemake_that_was_killed_is_removed(folder, capsys):
    dead(folder)
    take_over(register=False, folder=folder)
    assert locked(folder) == []
    assert list((folder / "holders").iterdir()) == []
    said = capsys.readouterr().err
    assert "unlocked: the lock was left by process " in said
    assert "which was killed" in said


def test_lock_of_one_that_lives_is_left_alone_and_it_is_said_whose_it_is(folder, capsys):
    dead(folder)
    file = try_hold(folder / "holders/alive.json")
    take_over(register=False, folder=folder)
    assert locked(folder) == ["0.input.lock", "0.output.lock"]
    assert f"this folder is in use by process {os.getpid()} of " in capsys.readouterr().err
    file.close()


def test_lock_of_which_nothing_is_known_is_left_alone(folder, capsys):
    take_over(register=False, folder=folder)
    assert locked(folder) == ["0.input.lock", "0.output.lock"]
    assert capsys.readouterr().err == ""


def test_who_unlocks_by_hand_forgets_the_dead_and_not_the_living(folder):
    dead(folder)
    file = try_hold(folder / "holders/alive.json")
    forget_others(folder)
    assert [path.name for path in (folder / "holders").iterdir()] == ["alive.json"]
    file.close()


def test_marks_of_what_is_whole_are_removed_and_others_stay(tmp_path):
    """The marks are Snakemake's own: should it write them otherwise, this says so."""
    folder = tmp_path / ".snakemake"
    marks = FilePersistence(path=folder)
    whole = [tmp_path / "results/weights.safetensors", tmp_path / "results" / ("long" * 60)]
    keys = [*map(str, whole), str(tmp_path / "results/half")]
    for key in keys:
        marks._mark_incomplete(key, None)
    forget_incomplete(whole, folder)
    assert FilePersistence(path=folder)._filter_incomplete_keys(keys) == {keys[2]}


def test_job_that_fails_says_why_in_the_last_lines(tmp_path, monkeypatch):
    """A bare call: it is the default profile that shows the log."""
    ablations = make_tiny(Path(shutil.copytree(ROOT / "ablations", tmp_path / "ablations")))
    edit_yaml(ablations / "scales/smoke.yaml", lambda d: d["execution"].update(gpus=1))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    done = run_command(
        *("snakemake", "results/smoke/references/unconditional.npz", "--cores", "1"),
        *("--directory", str(tmp_path), "--config", "scale=smoke"),
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    log = said.index("Logfile results/smoke/logs/extractor/digits.log")
    assert "error: this job needs 1 GPU, and " in said[log:]


def test_workflow_that_is_killed_again_and_again_gives_the_same_bytes(tmp_path, monkeypatch):
    """A handful of kills; ``make chaos`` does as many as you like. The folder is an odd one."""
    monkeypatch.syspath_prepend(ROOT / ".ci")
    import chaos

    said = chaos.chaos(tmp_path / "a b; $(c) 'd\" (1) #é", kills=3, seed=2, longest=12, target=RUNS)
    assert said.startswith("3 kills")
