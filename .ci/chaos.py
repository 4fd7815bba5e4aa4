"""Kill a workflow again and again, and compare every byte with one that nobody disturbed.

    python .ci/chaos.py [--kills 50] [--seed 0] [--cores 2] [--folder FOLDER] [--seconds SECONDS]

The workflow is tables 1 and 2 of scale `smoke`, reduced as in the tests. Signals and moments are
drawn; each goes to snakemake, to all of its process group, as a terminal does, or to one of its
jobs. The same command starts again, without any option for recovery; when the tables are there
before the kills are used up, they are deleted and made again. Last comes a start that nobody
disturbs. Jobs that a killed snakemake leaves behind go on beside the next one.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from harness import make_tiny  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A snakemake that was told to stop waits for its jobs: not longer than this.
PATIENCE_SECONDS = 20
# Of these, times are a part, or they are not results.
LEFT_OUT_NAMES = {"speed.csv", "mlflow.db", "mlflow.db.lock"}
LEFT_OUT_FOLDERS = {"logs", "benchmarks", "mlartifacts"}
TIMES = {"time", "started", "finished"}
# What no start may ever say.
TRACEBACK = "Traceback (most recent call last)"
FORBIDDEN = ("cannot be locked", "IncompleteFilesException", TRACEBACK)


class ChaosError(Exception):
    """Something was lost, or a start failed for another reason than a signal."""


@dataclasses.dataclass
class Place:
    """A folder with results and ablations of its own, and the one command that makes the tables."""

    folder: Path
    cores: int
    target: str

    def start(self) -> subprocess.Popen:
        """Start the workflow in a session of its own."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        target = str(self.folder / self.target) if "/" in self.target else self.target
        return subprocess.Popen(
            [
                *("snakemake", target, "--cores", str(self.cores)),
                *("--directory", str(self.folder), "--config", "scale=smoke"),
                f"results={self.folder}/results",
            ],
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=self.said.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def said(self) -> Path:
        """What the last start said."""
        return self.folder / "said.txt"

    def jobs(self) -> list[psutil.Process]:
        """Every process of this folder's jobs, whoever started it and whether that still lives."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder) and "dmp" in " ".join(process.cmdline()[:3]):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def check_said(self) -> None:
        """Raise if the last start said what none may say."""
        text = self.said.read_text(errors="replace")
        for words in FORBIDDEN:
            # Python says where it was when it was interrupted.
            if words in text and not (words == TRACEBACK and "KeyboardInterrupt" in text):
                raise ChaosError(f"a start said '{words}':\n{text[-6000:]}")


def digest(path: Path) -> bytes | str:
    """Return a file's bytes, without the times that records and logs of a run hold."""
    if path.suffix in (".json", ".jsonl"):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        return "\n".join(json.dumps(_untimed(json.loads(line)), sort_keys=True) for line in lines)
    return path.read_bytes()


def _untimed(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {
        k: _untimed(v)
        for k, v in value.items()
        # Speed and memory are measured again.
        if k not in TIMES and not k.startswith(("steps_per", "memory"))
    }


def differing(results: Path, expected: Path) -> list[str]:
    """Return the files of two folders of results that are not the same, or in one of them alone."""
    found = []
    for folder in (results, expected):
        found.append(
            {
                str(path.relative_to(folder)): digest(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file()
                and path.name not in LEFT_OUT_NAMES
                # A seal is of all bytes, times among them; its file is compared itself.
                and path.suffix != ".sha256"
                and not LEFT_OUT_FOLDERS & set(path.relative_to(folder).parts)
            }
        )
    here, there = found
    return sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))


def strike(place: Place, process: subprocess.Popen, draw: random.Random) -> str:
    """Send a signal to somebody; return what and whom in words."""
    number = draw.choice(SIGNALS)
    victim = draw.choice(["snakemake", "group", "job"])
    jobs = sorted(place.jobs(), key=lambda job: job.pid)
    try:
        if victim == "job" and jobs:
            draw.choice(jobs).send_signal(number)
        elif victim == "group":
            os.killpg(process.pid, number)
        else:
            victim = "snakemake"
            process.send_signal(number)
    except (ProcessLookupError, psutil.NoSuchProcess):
        victim = "nobody"
    return f"{number.name} to {victim}"


def disturb(place: Place, kills: int, draw: random.Random, longest: float, end: float) -> Counter:
    """Kill the workflow so many times, or until ``end``; return how often what was done."""
    done: Counter[str] = Counter()
    while sum(done.values()) < kills and time.monotonic() < end:
        process = place.start()
        try:
            process.wait(draw.uniform(1, longest))
        except subprocess.TimeoutExpired:
            struck = strike(place, process, draw)
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                struck += ", then SIGKILL"
            done[struck] += 1
        place.check_said()
        if process.returncode == 0 and sum(done.values()) < kills:
            wait_for(place)
            shutil.rmtree(place.folder / "results")
    return done


def code() -> str:
    """Return which code the workflows run, with all edits."""
    status, head, edits = (
        subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True).stdout
        for arguments in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("diff", "HEAD"))
    )
    return hashlib.sha256(status + head + edits).hexdigest()


def wait_for(place: Place) -> None:
    """Wait until no job of the folder is left."""
    psutil.wait_procs(place.jobs(), timeout=300)


def chaos(
    folder: Path,
    kills: int,
    seed: int = 0,
    cores: int = 2,
    longest: float = 20,
    seconds: float = float("inf"),
    target: str = "tables",
) -> str:
    """Run everything in a folder; return what was done in words.

    Args:
        folder: for both workflows.
        kills: how many.
        seed: of what is drawn.
        cores: of each workflow.
        longest: seconds that a start is left alone at most.
        seconds: after so many there are no more kills.
        target: what is made: a rule, or a file below the folder of a workflow.

    Raises:
        ChaosError: a byte differs, something was left over, or a start failed.
    """
    begun, commit = time.monotonic(), code()
    quiet, loud = (Place(folder / name, cores, target) for name in ("quiet", "loud"))
    for place in (quiet, loud):
        make_tiny(Path(shutil.copytree(ROOT / "ablations", place.folder / "ablations")))
    if quiet.start().wait() != 0:
        raise ChaosError(f"the undisturbed run failed:\n{quiet.said.read_text()[-6000:]}")
    undisturbed = time.monotonic() - begun
    done = disturb(loud, kills, random.Random(seed), longest, time.monotonic() + seconds)
    if loud.start().wait() != 0:
        raise ChaosError(f"the last start failed:\n{loud.said.read_text()[-6000:]}")
    wait_for(loud)
    loud.check_said()
    if code() != commit:
        raise ChaosError("the checkout was edited meanwhile, and every number says its commit")
    wrong = differing(loud.folder / "results", quiet.folder / "results")
    if wrong:
        raise ChaosError(f"{len(wrong)} files differ: {', '.join(wrong[:10])}")
    left = [p.name for p in loud.folder.rglob("*") if ".tmp" in p.name or p.name.endswith(".held")]
    own = loud.folder / ".snakemake"
    left += [str(path) for name in ("locks", "holders") for path in (own / name).glob("*")]
    if left:
        raise ChaosError(f"left over: {', '.join(left[:10])}")
    count = sum(1 for path in (loud.folder / "results").rglob("*") if path.is_file())
    what = ", ".join(f"{name}: {number}" for name, number in sorted(done.items()))
    return (
        f"{sum(done.values())} kills in {time.monotonic() - begun:.0f} s, of them "
        f"{undisturbed:.0f} s undisturbed; {count} files, every byte the same ({what})"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--longest", type=float, default=20, help="seconds before a kill")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="then no more kills")
    parser.add_argument("--folder", type=Path, help="kept; a temporary one if left out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        print(chaos(folder, given.kills, given.seed, given.cores, given.longest, given.seconds))


if __name__ == "__main__":
    main()
