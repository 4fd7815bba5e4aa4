"""The same bits on every processor: every stage here, and on an emulated one of the other maker.

QEMU emulates an Intel Haswell or an AMD EPYC, both with AVX2 and without AVX-512. It is slow, and
what it computes, it computes as those processors do. Libraries choose by maker and by AVX-512, so
that a processor of another maker and without it finds what depends on either. DMP_PROCESSORS names
others, such as "Haswell EPYC".
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import ROOT

from dmp.numerics import X86_64

EMULATOR = "qemu-x86_64-static"
# By the maker of the processor that is here.
OTHERS = {"GenuineIntel": "EPYC", "AuthenticAMD": "Haswell"}
# Of these, times and the machine itself are a part.
DIFFERENT = ("provenance.json", "speed.csv", "log.jsonl")

# Fails at the first call of what differs between processors.
WATCHED = """
import sys
from pathlib import Path
import every_stage
every_stage.get_ready()
from test_numerics import OnlyPortable
with OnlyPortable():
    every_stage.main(Path(sys.argv[1]))
"""


def compute(folder, *emulator: str) -> None:
    """Run every stage below ``folder`` in a fresh process, and watch its calls if it is here."""
    folder.mkdir()
    script = [str(ROOT / ".ci/every_stage.py")] if emulator else ["-c", WATCHED]
    path = os.pathsep.join(str(ROOT / name) for name in (".", ".ci", "tests"))
    done = subprocess.run(
        [*emulator, sys.executable, *script, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def digests(folder) -> dict[str, str]:
    """Return the SHA-256 of each file of results that has to be the same."""
    results = folder / "results"
    files = {
        path.relative_to(results): path for path in sorted(results.rglob("*")) if path.is_file()
    }
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        # Records of what was made say when, and so their seals differ.
        if name.name.removeprefix(".").removesuffix(".sha256") not in DIFFERENT
        and ".fingerprints" not in name.parts
    }


def need_emulator() -> None:
    """Skip where this Python cannot be run on an emulated processor."""
    if platform.machine() not in X86_64:
        pytest.skip(f"{platform.machine()} has numerics of its own")
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is not installed (Debian: apt-get install qemu-user-static)")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What this processor computes."""
    folder = tmp_path_factory.mktemp("portable") / "here"
    compute(folder)
    return digests(folder)


def test_every_kind_of_number_is_computed_by_what_is_the_same_on_all_processors(here):
    names = {name.rpartition("/")[2] for name in here}
    assert names >= {
        "weights.safetensors",
        "convergence.json",
        "samples.npz",
        "metrics.csv",
        "denoising.npz",
        "gate.npz",
        "table2.csv",
        "table2.md",
        "claims.csv",
        "one_step.txt",
    }


def emulated() -> list[str]:
    """Return the processors to emulate."""
    if named := os.environ.get("DMP_PROCESSORS"):
        return named.split()
    here = re.search(r"^vendor_id\s*: (\w+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    known = here[1] if here else ""
    return [OTHERS[known]] if known in OTHERS else sorted(OTHERS.values())


def test_emulated_processors_compute_the_same_bytes(here, tmp_path):
    need_emulator()
    folders = {name: tmp_path / name for name in emulated()}
    with ThreadPoolExecutor(len(folders)) as pool:
        for _ in pool.map(lambda name: compute(folders[name], EMULATOR, "-cpu", name), folders):
            pass
    for name, folder in folders.items():
        found = digests(folder)
        assert sorted(found) == sorted(here)
        different = [path for path in here if found[path] != here[path]]
        assert not different, f"{name} computes other bytes: {different[:5]}"
