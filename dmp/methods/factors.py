"""Learned factors on the branches of a DiT's blocks."""

import functools
from typing import cast

import torch
from torch import Tensor, nn

from dmp.backbones import DiT


class Factors(nn.Module):
    """Multiplies the outputs of each block's attention and perceptron by learned vectors.

    Attributes:
        factors: ``(L, 2, D)``, ones at first.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        if not isinstance(backbone, DiT):
            raise TypeError(f"factors belong to the blocks of a DiT, not of {type(backbone)}")
        device = backbone.pos_embed.device
        self.factors = nn.Parameter(
            torch.ones(backbone.depth, 2, backbone.hidden_size, device=device)
        )
        for number, block in enumerate(backbone.blocks):
            for branch, module in enumerate((block.attn, block.mlp)):
                # Not a closure: a model with closures cannot be copied or pickled.
                scale = functools.partial(_scaled, self, number, branch)
                cast(nn.Module, module).register_forward_hook(scale)


def _scaled(
    factors: Factors, block: int, branch: int, module: nn.Module, inputs: tuple, output: Tensor
) -> Tensor:
    return output * factors.factors[block, branch].to(output.dtype)
