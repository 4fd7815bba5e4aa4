"""Initial weights, drawn by NumPy's generators (see :mod:`dmp.rng`) in place of torch's.

Drawn on the CPU in float32, so that weights of any device and dtype start from the same numbers.
"""

import math

import numpy as np
import torch
from torch import Tensor


@torch.no_grad()
def normal_(tensor: Tensor, std: float, source: np.random.Generator) -> None:
    """Fill a tensor from N(0, ``std``²)."""
    drawn = source.standard_normal(tuple(tensor.shape), dtype=np.float32)
    tensor.copy_(torch.from_numpy(drawn * np.float32(std)))


@torch.no_grad()
def uniform_(tensor: Tensor, bound: float, source: np.random.Generator) -> None:
    """Fill a tensor from the uniform distribution on ±``bound``."""
    drawn = source.random(tuple(tensor.shape), dtype=np.float32)
    tensor.copy_(torch.from_numpy((2 * drawn - 1) * np.float32(bound)))


def xavier_uniform_(weight: Tensor, source: np.random.Generator) -> None:
    """Fill a linear layer's weight, ``(outputs, inputs)``, as Glorot & Bengio (2010) do."""
    uniform_(weight, math.sqrt(6 / sum(weight.shape)), source)


def kaiming_uniform_(weight: Tensor, source: np.random.Generator) -> None:
    """Fill a weight, ``(outputs, inputs, ...)``, as He et al. (2015) do before a ReLU."""
    uniform_(weight, math.sqrt(6 / weight[0].numel()), source)
