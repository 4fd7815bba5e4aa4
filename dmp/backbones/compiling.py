"""The blocks of a DiT through ``torch.compile``, which fuses what one reads and the next writes."""

import importlib.util
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from dmp.backbones.dit import DiTBlock
from dmp.errors import DMPError

# Each size of batch, number of tokens, and set of parameters that train has code of its own.
VARIANTS = 128
_AS_WRITTEN = DiTBlock.forward


def why_not_compiled() -> str:
    """Return what this machine lacks to compile for its GPU; empty if nothing."""
    if not torch.cuda.is_available():
        return ""
    if importlib.util.find_spec("triton") is None:
        return "not compiled: the package triton is missing"
    if not any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))):
        return "not compiled: this machine has no C compiler"
    return ""


def compiled_forward(backend: str | Callable) -> Callable[[DiTBlock, Tensor, Tensor], Tensor]:
    """Return ``DiTBlock.forward`` compiled, once for all blocks of a shape, to repeatable code."""
    # Half a second that jobs which compile nothing don't spend.
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    dynamo.recompile_limit = VARIANTS  # ty: ignore[invalid-assignment]
    # torch would go on uncompiled, and round differently from there on.
    dynamo.fail_on_recompile_limit_hit = True  # ty: ignore[invalid-assignment]
    # Which of several kernels is fastest would be tried out, and they round differently.
    inductor.deterministic = True
    return torch.compile(_AS_WRITTEN, backend=backend, dynamic=False)


def compile_blocks(backend: str | Callable = "inductor") -> None:
    """Let all DiT blocks of this process be compiled, once for all blocks of a shape.

    Prompts enter outside of them. Whole models would take minutes to compile, blocks take seconds,
    and files on disk keep what was compiled for the next process.

    Args:
        backend: of ``torch.compile``; its name, or the compiler itself.

    Raises:
        DMPError: this machine cannot compile for its GPU.
    """
    if why := why_not_compiled():
        raise DMPError(f"execution.compile asks for compiled blocks: {why}")
    DiTBlock.forward = compiled_forward(backend)  # ty: ignore[invalid-assignment]


def are_compiled() -> bool:
    """Return whether :func:`compile_blocks` is in force in this process."""
    return DiTBlock.forward is not _AS_WRITTEN
