"""What training, sampling and evaluation know of a backbone."""

import abc
from typing import Protocol

import numpy as np
from torch import Tensor, nn


class Texts(Protocol):
    """States of captions by number, such as :class:`dmp.data.text.TextStore`.

    Attributes:
        width: E.
        null: the number of the empty caption.
    """

    width: int
    null: int

    def sequence(self, numbers: np.ndarray) -> Tensor:
        """Return the states of captions, ``(n, tokens, E)`` float32 on the CPU."""
        ...


class Backbone(nn.Module, abc.ABC):
    """Predicts noise, and perhaps a variance, from noisy images, timesteps and labels.

    Attributes:
        input_size: height and width of the images.
        in_channels: C.
        num_classes: labels, or captions; 1 for an unconditional model.
    """

    input_size: int
    in_channels: int
    num_classes: int

    @property
    @abc.abstractmethod
    def null_label(self) -> int:
        """The label that stands for no condition.

        Raises:
            DMPError: the model has none.
        """

    @abc.abstractmethod
    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)``, timesteps ``(B,)`` and labels ``(B,)`` to predictions.

        Returns:
            ``(B, 2C, H, W)``, noise and position of the variance in its range; ``(B, C, H, W)``,
            the noise, where no variance is predicted.
        """
