"""Memory that torch frees stays with the process."""

import os
import subprocess
import sys

# Eight blocks of 4 MiB, which are 8,192 pages.
CODE = """
import resource, torch
from dmp.running.memory import keep_freed_memory
if KEEP: keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    blocks = [torch.ones(1024, 1024) for _ in range(8)]
for _ in range(3):
    step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


def test_freed_memory_is_used_again():
    def faults(keep: bool) -> int:
        code = CODE.replace("KEEP", str(keep))
        # As it is before glibc has learned how large the blocks are.
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env=environment
        )
        return int(done.stdout)

    assert faults(keep=True) * 10 < faults(keep=False)
