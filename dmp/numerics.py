"""Portable numerics: the same bits on every x86-64 processor with AVX2.

torch, MKL, oneDNN, NumPy and OpenBLAS choose their kernels by the processor that they find, and
kernels round differently: one training step differs in the last bit, thousands of them end in
another model. Each library reads, when it is loaded, an environment variable that pins its choice.
:func:`settle` sets them all; it is the only place that does, and every ``dmp`` command calls it
before any of these libraries is imported. Importing :mod:`dmp` as a library sets nothing.

What no variable pins is avoided: MKL's vector library computes ``torch.sqrt``, ``x ** 0.5``,
``torch.cdist`` of more than 25 rows, the logarithm of float64 tensors, ``log2``, ``log10``, ``tan``
and the inverse trigonometric functions differently on different processors, so that nothing that
decides a number calls them (a test watches over that). Of what is called, exponentials, sines,
``tanh``, ``erf``, softmax and powers had the same bits for 1.5 million numbers on an emulated
processor and on one with AVX-512. NumPy's square root is exact.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dmp.errors import DMPError

Numerics = Literal["portable", "native"]

# Read by the libraries once, when they are loaded.
REQUIRED = {
    # torch's own kernels: not the AVX-512 ones.
    "ATEN_CPU_CAPABILITY": "avx2",
    # oneDNN, which convolves.
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # MKL: AVX2 alone would not do, since it takes other paths on AMD than on Intel. What it is left
    # with is slow, so that :mod:`dmp.kernels` leaves it little to do.
    "MKL_CBWR": "COMPATIBLE",
    # OpenBLAS, which NumPy and SciPy come with. Sums are split among threads.
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    # NumPy's exp, log and their kin.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
# NumPy does not start with both lists, of what is on and of what is off.
REFUSED = "NPY_ENABLE_CPU_FEATURES"
X86_64 = ("x86_64", "AMD64")


def check(numerics: Numerics, where: str, environment: Mapping[str, str] = os.environ) -> None:
    """Check that no setting of the user's contradicts portable numerics.

    Raises:
        DMPError: one does; a user's wish is not overruled in silence.

    """
    if numerics == "native":
        return
    for name, value in REQUIRED.items():
        found = environment.get(name)
        if found is not None and found.split() != value.split():
            raise DMPError(
                f"the environment sets {name}={found}, but {where} has numerics: portable, which "
                f"needs {name}={value}; unset {name}, or write numerics: native there, which gives "
                f"results of this kind of processor alone"
            )
    if environment.get(REFUSED):
        raise DMPError(
            f"the environment sets {REFUSED}={environment[REFUSED]}, but {where} has numerics: "
            f"portable, which sets the opposite; unset it, or write numerics: native there"
        )


def settle(numerics: Numerics, where: str) -> None:
    """Set what portable numerics need in this process and those that it starts.

    Args:
        numerics: ``portable``, or ``native`` to leave everything as it is.
        where: the scale, for messages.

    Raises:
        DMPError: a setting of the user's contradicts it, or a library was imported too early.

    """
    check(numerics, where)
    if numerics == "native" or _is_settled():
        return
    early = [name for name in ("numpy", "torch") if name in sys.modules]
    if early:
        raise DMPError(
            f"{where} has numerics: portable, but {' and '.join(early)} had been imported before "
            f"the environment was set; run it by the dmp command, or set beforehand: "
            + " ".join(f"{name}='{value}'" for name, value in REQUIRED.items())
        )
    os.environ.update(REQUIRED)


def _is_settled() -> bool:
    return all(
        os.environ.get(name, "").split() == value.split() for name, value in REQUIRED.items()
    )


def in_force(numerics: Numerics, device: str = "cpu") -> Numerics:
    """Return which numerics a job really has: a GPU, or another architecture, has its own.

    Several processes that share a training have, too: their number decides how gradients are
    summed.

    Args:
        numerics: what the scale asks for.
        device: where the job computes, ``cpu`` or ``cuda``.

    """
    import torch

    portable = (
        numerics == "portable"
        and device == "cpu"
        # Several processes that torchrun has started add up their gradients.
        and int(os.environ.get("WORLD_SIZE", "1")) == 1
        and platform.machine() in X86_64
        # A processor without AVX-512 says AVX2 of itself.
        and _is_settled()
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )
    return "portable" if portable else "native"


def processor() -> str:
    """Return the name of this machine's processor."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
