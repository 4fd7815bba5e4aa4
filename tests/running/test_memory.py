"""Memory that torch frees stays with the process."""

import subprocess
import sys

from dmp.running.memory import keep_freed_memory

# Blocks of 4 MB: above glibc's largest threshold for growing by itself they would all be new.
CODE = """
import resource, torch
from dmp.running.memory import keep_freed_memory
if KEEP: keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    blocks = [torch.ones(1024, 1024) for _ in range(8)]
step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


def test_freed_memory_is_used_again():
    def faults(keep: bool) -> int:
        code = CODE.replace("KEEP", str(keep))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return int(done.stdout)

    assert faults(keep=True) * 10 < faults(keep=False)


def test_it_says_whether_it_took_effect():
    assert isinstance(keep_freed_memory(), bool)
