"""Images as a backbone sees them, by number: pixels in memory, or latents on disk."""

import copy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dmp.data.images import resized, to_model
from dmp.data.registry import Images


class Examples(Protocol):
    """What a stream of training examples draws from.

    Attributes:
        labels: ``(n,)`` int64.
        shape: ``(C, H, W)`` of one example.
        noisy: whether ``take`` draws from a distribution for each image, and needs noise for it.
    """

    labels: np.ndarray
    shape: tuple[int, int, int]
    noisy: bool

    def __len__(self) -> int:
        """Return n."""
        ...

    def take(self, rows: np.ndarray, mirrored: np.ndarray, noise: Tensor | None) -> Tensor:
        """Return examples ``(B, C, H, W)`` float32.

        Args:
            rows: ``(B,)`` int64, which images.
            mirrored: ``(B,)`` bool, which of them to mirror.
            noise: ``(B, C, H, W)`` float32, standard normal; None takes the mean.
        """
        ...


class Pixels:
    """Images in memory, as values in [-1, 1]."""

    noisy = False

    def __init__(self, data: Images) -> None:
        self._images = to_model(torch.from_numpy(data.images))
        self.labels = data.labels
        self.shape = data.images.shape[1:]

    def __len__(self) -> int:
        return len(self._images)

    def resized(self, edge: int) -> "Pixels":
        """Return the same images at another resolution."""
        found = copy.copy(self)
        found._images = resized(self._images, edge)
        found.shape = (self.shape[0], edge, edge)
        return found

    def take(self, rows: np.ndarray, mirrored: np.ndarray, noise: Tensor | None) -> Tensor:
        """Return images; there is nothing to draw."""
        images = self._images[torch.from_numpy(rows)]
        if not mirrored.any():
            return images
        flipped = torch.from_numpy(mirrored)[:, None, None, None]
        return torch.where(flipped, images.flip(-1), images)
