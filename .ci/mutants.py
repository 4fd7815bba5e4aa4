"""Plants faults in patches, methods, statistics and fingerprints: does a test notice each of them?

    python .ci/mutants.py [--count 100] [--seed 0]

mutmut makes every mutant of the folders that pyproject.toml names, and of those a sample is drawn;
each runs the tests that reach its function, until one fails. Then come faults that no test noticed
once. Ends in status 1 if fewer than nine in ten are killed, or one of the latter is not. Everything
happens in a copy of the project: mutants/.
"""

import argparse
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutmut.__main__ import _run, collect_source_file_mutation_data, create_mutants
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir

AIM = 0.9
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


def sample(count: int, seed: int) -> dict[str, str]:
    """Return what became of each mutant of a sample."""
    set_mutant_under_test("mutant_generation")
    COPY.mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(max_children=1)
    names = sorted(name for _, name, _ in collect_source_file_mutation_data(mutant_names=[])[0])
    drawn = sorted(random.Random(seed).sample(names, min(count, len(names))))
    _run(drawn, max_children=1)
    found, _ = collect_source_file_mutation_data(mutant_names=drawn)
    print(f"{len(drawn)} of {len(names)} mutants, seed {seed}")
    return {name: status_by_exit_code[code] for _, name, code in found}


def noticed(path: Path, whole: str, fault: str, tests: str) -> bool:
    """Return whether tests fail once a fault is planted.

    Raises:
        ValueError: the file does not hold what the fault replaces.
    """
    text = path.read_text()
    if text.count(whole) != 1:
        raise ValueError(f"{path} holds {whole!r} {text.count(whole)} times, not once")
    path.write_text(text.replace(whole, fault))
    try:
        command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", tests]
        return subprocess.run(command, cwd=COPY, capture_output=True).returncode == 1
    finally:
        path.write_text(text)


def main() -> int:
    """Return 0 if enough was noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    statuses = sample(given.count, given.seed)
    alive = [name for name, status in statuses.items() if status not in ("killed", "timeout")]
    for name in alive:
        print(f"\n{name}: {statuses[name]}\n{get_diff_for_mutant(name)}")
    missed = [
        fault
        for name, whole, fault, tests in ONCE_MISSED
        if not noticed(COPY / name, whole, fault, tests)
    ]
    counts = ", ".join(f"{status}: {n}" for status, n in Counter(statuses.values()).items())
    print(f"{len(statuses) - len(alive)} of {len(statuses)} mutants were noticed ({counts})")
    print(f"{len(ONCE_MISSED) - len(missed)} of {len(ONCE_MISSED)} once missed", *missed, sep="\n")
    return int(len(alive) > (1 - AIM) * len(statuses) or bool(missed))


if __name__ == "__main__":
    sys.exit(main())
