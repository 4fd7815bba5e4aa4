"""What adding weighted prompts to the tokens of DiT-XL/2 costs on a GPU, in milliseconds.

    python .ci/adding_prompts.py

``multiply and add`` is what a patch does; the others are what it could do, and what is least.
"""

import torch
from torch import Tensor
from triton.testing import do_bench

IMAGES, TOKENS, WIDTH = 250, 256, 1152


def multiply_and_add(x: Tensor, weights: Tensor, prompts: Tensor) -> Tensor:
    """Return ``x + w ⊙ P`` as a patch computes it."""
    return x + weights[:, :, None] * prompts


def main() -> None:
    """Print the medians."""
    x = torch.randn(IMAGES, TOKENS, WIDTH, device="cuda")
    weights = torch.rand(IMAGES, TOKENS, device="cuda").softmax(1)
    prompts = torch.randn(TOKENS, WIDTH, device="cuda")
    compiled = torch.compile(multiply_and_add)
    ways = {
        "multiply and add": lambda: multiply_and_add(x, weights, prompts),
        "addcmul": lambda: torch.addcmul(x, weights[:, :, None], prompts),
        "compiled": lambda: compiled(x, weights, prompts),
        "a sum of two tensors": lambda: x + x,
    }
    with torch.no_grad():
        for name, way in ways.items():
            print(f"{name}: {do_bench(way, return_mode='median'):.2f} ms")


if __name__ == "__main__":
    main()
