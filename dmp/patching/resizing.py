"""Prompts on one grid of tokens brought to another, as position embeddings are."""

import torch
from torch import Tensor, nn

from dmp.config.patch import check_resizing
from dmp.errors import DMPError


def resize(prompts: Tensor, edge: int, grid: tuple[int, int], mode: str) -> Tensor:
    """Resize weighted prompts from one grid of tokens to another; on their own grid, do nothing.

    What is resized is the product ``w ⊙ P_i``, so that all gates, and none, are served alike.
    Each token gets a mean of its neighbours, whose shares sum to 1, so that prompts and weights
    that are the same everywhere stay what they are: at four times as many tokens the weights of
    the tokens sum to four, and their mean is still 1/K. Dividing the sum of 1 among more tokens
    would make a patch the weaker, the larger the image.

    Args:
        prompts: ``(..., edge², D)``, row by row.
        edge: rows, and columns, of the prompts' grid.
        grid: rows and columns of the tokens.
        mode: ``nearest``, ``bilinear`` or ``bicubic``; the last two are smoothed where the grid
            gets coarser, so that no prompt is left out.

    Returns:
        ``(..., rows · columns, D)``.

    Raises:
        DMPError: ``nearest``, and the prompts would not serve blocks of tokens of one size.
    """
    if grid == (edge, edge):
        return prompts
    check_mode(edge, grid, mode)
    images = prompts.reshape(-1, edge, edge, prompts.shape[-1]).permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(
        # In half precision, neighbours' shares would be rounded.
        images.to(torch.promote_types(images.dtype, torch.float32)),
        size=grid,
        mode=mode,
        antialias=mode != "nearest",
    )
    return resized.flatten(2).transpose(1, 2).reshape(*prompts.shape[:-2], -1, prompts.shape[-1])


def check_mode(edge: int, grid: tuple[int, int], mode: str) -> None:
    """Check that prompts on ``edge`` by ``edge`` can be resized to ``grid`` in this mode.

    Raises:
        DMPError: see :func:`dmp.config.patch.check_resizing`.
    """
    try:
        check_resizing(edge, grid, mode)
    except ValueError as error:
        raise DMPError(f"patch: {error}") from error
