"""The blocks of a DiT through ``torch.compile``, which fuses what one reads and the next writes."""

from collections.abc import Callable

import torch
import torch._dynamo
import torch._inductor.config

from dmp.backbones.dit import DiTBlock

# Each size of batch, number of tokens, and set of parameters that train has code of its own; torch
# gives up at eight.
VARIANTS = 128


def compile_blocks(backend: str | Callable = "inductor") -> None:
    """Let all DiT blocks of this process be compiled, once for all blocks of a shape.

    Prompts enter outside of them. Whole models would take minutes to compile, blocks take seconds,
    and files on disk keep what was compiled for the next process.

    Args:
        backend: of ``torch.compile``; its name, or the compiler itself.
    """
    torch._dynamo.config.recompile_limit = VARIANTS  # ty: ignore[invalid-assignment]
    # Which of several kernels is fastest would be tried out, and they round differently.
    torch._inductor.config.deterministic = True
    compiled = torch.compile(DiTBlock.forward, backend=backend, dynamic=False)
    DiTBlock.forward = compiled  # ty: ignore[invalid-assignment]
