"""Classifier-free guidance (Ho & Salimans 2022)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor


def guided(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    labels: Tensor,
    null_labels: Tensor,
    scale: float,
    channels: Literal["all", "first-three"] = "all",
) -> Callable[[Tensor, Tensor], Tensor]:
    r"""Return a model of ``(x, t)`` whose noise is :math:`\epsilon_0 + s(\epsilon_y-\epsilon_0)`.

    Args:
        model: maps ``(x, t, labels)`` to noise and variance ``(B, 2C, H, W)``, or to noise alone.
        labels: ``(B,)``, the condition y.
        null_labels: ``(B,)``, no condition; not used at scale 1.
        scale: s; at 1 the model is called once and not twice.
        channels: guide ``all`` channels of the noise, or the ``first-three``, as the released
            DiT code does with latents of four channels; the rest is the conditional prediction.
    """
    if scale == 1:
        return lambda x, t: model(x, t, labels)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        both = model(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, null_labels]))
        conditional, unconditional = both.chunk(2)
        count = x.shape[1] if channels == "all" else min(3, x.shape[1])
        rest = conditional[:, count:]
        conditional, unconditional = conditional[:, :count], unconditional[:, :count]
        return torch.cat([unconditional + scale * (conditional - unconditional), rest], dim=1)

    return predict
