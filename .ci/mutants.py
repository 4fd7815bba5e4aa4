"""Plants faults in what decides a number or a verdict: does a test notice each of them?

    python .ci/mutants.py [NAMES] [--count 100] [--seed 0] [--again]

mutmut makes every mutant of what pyproject.toml names; of them a sample is drawn, uniformly, in an
order that the seed alone decides: a larger count begins with the same ones. The tests are imported
once; for each mutant a fork of that process runs those that reach its function, until one fails.
Then come faults that no test noticed once.

All happens in a copy of the project, mutants/, which keeps what was found: interrupted, it says how
far it came, and the same command goes on from there. --again runs survivors once more, after tests
were added; after other changes remove mutants/. Ends in status 1 if fewer than nine in ten are
noticed, or one of the latter faults is not, and in 2 if it was interrupted.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from mutmut.__main__ import collect_source_file_mutation_data, create_mutants
from mutmut.configuration import config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths
from mutmut.utils.format_utils import mangled_name_from_mutant_name

AIM = 0.9
# Statuses as mutmut keeps them; all others are of tests that failed, crashed or did not end.
SURVIVED, NO_TESTS, TIMEOUT = 0, 33, 36
COPY = Path("mutants")
# File, what stands there, what is planted instead, and the tests that have to notice.
ONCE_MISSED = (
    (
        *("dmp/claims/kinds/interaction.py", "runs()], _WEIGHTS)", "runs()], _WEIGHTS, base=0)"),
        "tests/claims/test_claims_kinds.py",
    ),
    (
        *("dmp/metrics/catalogue/losses.py", "losses.vb * timesteps", "losses.vb"),
        "tests/metrics/test_denoising.py",
    ),
    (
        *("dmp/training/loop.py", "weight_decay=config.weight_decay", "weight_decay=0.0"),
        "tests/training/test_weight_decay.py",
    ),
)


def make_mutants() -> dict[str, tuple]:
    """Return each mutant's file and status, none where it has not been tried, by its name."""
    set_mutant_under_test("mutant_generation")
    COPY.mkdir(exist_ok=True)
    with contextlib.redirect_stdout(None):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(max_children=1)
    found, _ = collect_source_file_mutation_data(mutant_names=[])
    for file, _, _ in found:  # pytest is going to run in the copy
        file.meta_path = file.meta_path.absolute()
    return {name: (file, status) for file, name, status in found}


class Trials:
    """A plugin of pytest: in place of running all tests once, it tries each mutant."""

    def __init__(self, drawn: list[str], found: dict[str, tuple], again: bool):
        self.drawn = drawn
        self.found = found
        self.again = again
        self.statuses: dict[str, int] = {}
        # Tests that fail without a fault, and so judge none: a compiled model's one graph, say,
        # breaks at what mutmut puts between a call and its function.
        self.wrong: list[str] = []
        # For each test how long it takes, which functions it reaches, and whether it failed.
        self.reach = (COPY / "reach.jsonl").absolute()
        self.noticers = (COPY / "noticers.txt").absolute()  # each mutant and the test

    def begin(self) -> None:
        """Import the tests of the copy, and try each mutant."""
        setup_source_paths()
        os.environ["PYTHONPATH"] = str(COPY.absolute())
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        see_what_is_reached()
        arguments = ["-qqs", "--disable-warnings", "-p", "no:cacheprovider", "--rootdir=."]
        with contextlib.chdir(COPY):
            pytest.main([*arguments, *config().pytest_add_cli_args_test_selection], plugins=[self])

    def pytest_sessionstart(self) -> None:
        """Let Hypothesis try the same examples each time, and stop at the first that fails."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try each mutant of the sample."""
        # A mutant of what is called while modules are imported needs a process of its own.
        at_import = set(state()._stats)
        set_mutant_under_test("")
        known = self.reached(session)
        began, tried = time.monotonic(), 0
        for number, name in enumerate(self.drawn, 1):
            file, status = self.found[name]
            if status is None or (self.again and not noticed(status)):
                start = time.monotonic()
                function = mangled_name_from_mutant_name(name)
                if function in at_import:
                    every = sorted(session.items, key=lambda item: known[item.nodeid][0])
                    status = in_fresh_process(name, [item.nodeid for item in every])
                else:
                    status = self.tried(session, name, function, known)
                file.exit_code_by_key[name] = status
                file.durations_by_key[name] = seconds = time.monotonic() - start
                file.save()
                tried += 1
                left = (time.monotonic() - began) / tried * (len(self.drawn) - number) / 60
                said = f"{name}: {status_by_exit_code[status]} after {seconds:.0f} s"
                print(f"{number}/{len(self.drawn)} {said}; {left:.0f} min left", flush=True)
            self.statuses[name] = status
        return True

    def tried(self, session: pytest.Session, name: str, function: str, known: dict) -> int:
        """Return the status of the tests that reach a function, those about it alone first."""
        items = [item for item in session.items if function in known[item.nodeid][1]]
        items.sort(key=lambda item: known[item.nodeid][0] * len(known[item.nodeid][1]))
        limit = 15 + 3 * sum(known[item.nodeid][0] for item in items)

        def run() -> int:
            for item, after in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                if session.testsfailed:
                    with self.noticers.open("a") as file:
                        file.write(f"{name} {item.nodeid}\n")
                    return 1
            return SURVIVED

        return in_fork(name, run, limit) if items else NO_TESTS

    def reached(self, session: pytest.Session) -> dict[str, tuple[float, set[str]]]:
        """Return for each test the seconds that it takes, and the functions that it reaches."""
        self.reach.touch()
        rows = [json.loads(line) for line in self.reach.read_text().splitlines()]
        stamps = {item.nodeid: item.path.stat().st_mtime for item in session.items}
        known = {row["test"]: row for row in rows if row["stamp"] == stamps.get(row["test"])}
        missing = [item for item in session.items if item.nodeid not in known]

        def record() -> int:
            see_what_is_reached()
            with self.reach.open("a") as file:
                for item, after in zip(missing, [*missing[1:], None], strict=True):
                    state()._stats.clear()
                    start, failed = time.monotonic(), session.testsfailed
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                    row = {"test": item.nodeid, "stamp": stamps[item.nodeid]}
                    row["seconds"] = time.monotonic() - start
                    row["reached"] = sorted(state()._stats)
                    row["failed"] = session.testsfailed > failed
                    file.write(json.dumps(row) + "\n")
                    file.flush()
            return 0

        if missing:
            print(f"seeing what {len(missing)} tests reach", flush=True)
            if in_fork("", record) != 0:
                raise RuntimeError("a test ended the process that it ran in")
            return self.reached(session)
        self.wrong = [name for name, row in known.items() if row["failed"]]
        session.items = [item for item in session.items if not known[item.nodeid]["failed"]]
        return {name: (row["seconds"], set(row["reached"])) for name, row in known.items()}


def see_what_is_reached() -> None:
    """Let mutmut note which functions are called, in this process and not in those it starts."""
    set_mutant_under_test("stats")
    del os.environ["MUTANT_UNDER_TEST"]


def noticed(status: int) -> bool:
    """Return whether that exit status says that a test noticed."""
    return status not in (SURVIVED, NO_TESTS)


def in_fork(mutant: str, work: Callable[[], int], limit: float | None = None) -> int:
    """Return the status of work in a fork of this process, which a mutant is planted in.

    ``limit`` is in seconds of the processor; ten times as many may pass.
    """
    with tempfile.TemporaryDirectory() as place:
        child = os.fork()
        if child == 0:
            status = 3
            try:
                os.setpgid(0, 0)
                silence = os.open(os.devnull, os.O_RDWR)
                for stream in range(3):
                    os.dup2(silence, stream)
                os.environ["TMPDIR"] = tempfile.tempdir = place
                if limit is not None:
                    spent = int(time.process_time() + limit)
                    resource.setrlimit(resource.RLIMIT_CPU, (spent, spent + 1))
                    signal.alarm(int(10 * limit))
                set_mutant_under_test(mutant)
                status = work()
            finally:
                os._exit(status)
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return TIMEOUT if status == -signal.SIGALRM else status
        finally:  # what it started and left behind, or all of it after Ctrl-C
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)


def in_fresh_process(mutant: str, tests: list[str]) -> int:
    """Return 1 if one of the tests fails, or nothing can be imported, and 0 otherwise."""
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "MUTANT_UNDER_TEST": mutant}
    return int(subprocess.run(command, env=env, capture_output=True).returncode != 0)


def noticed_once_planted(name: str, whole: str, fault: str, tests: str) -> bool:
    """Return whether tests fail once a fault is planted in a file, which then has no mutants.

    Raises:
        ValueError: the file does not hold what the fault replaces.
    """
    text, copy = Path(name).read_text(), COPY / name
    if text.count(whole) != 1:
        raise ValueError(f"{name} holds {whole!r} {text.count(whole)} times, not once")
    mutated = copy.read_text()
    copy.write_text(text.replace(whole, fault))
    try:
        command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", tests]
        return subprocess.run(command, cwd=COPY, capture_output=True).returncode == 1
    finally:
        copy.write_text(mutated)


def report(statuses: dict[str, int]) -> float:
    """Print the survivors and how many of each folder were noticed; return the share of all."""
    for name, status in statuses.items():
        if not noticed(status):
            print(f"\n{name}: {status_by_exit_code[status]}\n{get_diff_for_mutant(name)}")
    every = Counter(name.split(".")[1] for name in statuses)
    good = Counter(name.split(".")[1] for name, status in statuses.items() if noticed(status))
    print(*(f"{folder}: {good[folder]} of {every[folder]}" for folder in sorted(every)), sep="\n")
    kinds = Counter(status_by_exit_code[status] for status in statuses.values())
    said = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    share = good.total() / max(len(statuses), 1)
    print(f"{good.total()} of {len(statuses)} mutants noticed, {share:.0%} ({said})")
    return share


def main() -> int:
    """Return 0 if enough was noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="?", default="*", help="as in 'dmp.patching.weights*'")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="run survivors once more")
    given = parser.parse_args()
    found = make_mutants()
    drawn = sorted(fnmatch.filter(found, given.names))
    random.Random(given.seed).shuffle(drawn)
    drawn = drawn[: given.count]
    trials = Trials(drawn, found, given.again)
    trials.begin()
    if trials.wrong:
        print("left out, since they fail without a fault:", *trials.wrong, sep="\n")
    share = report(trials.statuses)
    print(f"{len(trials.statuses)} of a sample of {len(drawn)} of {len(found)}, seed {given.seed}")
    if len(trials.statuses) < len(drawn):
        return 2
    missed = [
        fault
        for name, whole, fault, tests in ONCE_MISSED
        if not noticed_once_planted(name, whole, fault, tests)
    ]
    print(f"{len(ONCE_MISSED) - len(missed)} of {len(ONCE_MISSED)} once missed", *missed, sep="\n")
    return int(share < AIM or bool(missed))


if __name__ == "__main__":
    sys.exit(main())
