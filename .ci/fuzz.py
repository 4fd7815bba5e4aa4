"""Damages each kind of file that the program reads, and looks at what its readers say.

python .ci/fuzz.py             20,000 times each
python .ci/fuzz.py 2000 log    2,000 times the kinds whose names hold "log"
"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main(count: int, part: str) -> None:
    """Print what became of each kind; the first reader that fails ends the program."""
    import torch
    from fuzz_kinds import KINDS
    from fuzzing import fuzz, memory

    torch.set_num_threads(1)
    os.fsync = lambda _: None  # what is written need not outlive the machine
    kinds = [kind for kind in KINDS if part in kind.name]
    refused, begin = 0, time.perf_counter()
    # Readers say what they set aside.
    with tempfile.TemporaryDirectory(dir=memory()) as place, Path(os.devnull).open("w") as nothing:
        for number, kind in enumerate(kinds):
            start = time.perf_counter()
            with contextlib.redirect_stdout(nothing):
                found = fuzz(kind, Path(place) / str(number), count, seed=1)
            refused += found.refused
            took = time.perf_counter() - start
            print(f"{took:7.1f} s  {kind.name}: {found.refused:,} of {count:,} refused", flush=True)
    print(
        f"{count * len(kinds):,} damaged files of {len(kinds)} kinds: {refused:,} refused, the "
        f"others read as they may be, no other exception; {time.perf_counter() - begin:.0f} s"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, (sys.argv[2:] or [""])[0])
