"""From a configuration to training and held-out images, and between pixels and model values."""

import numpy as np
import torch
from torch import Tensor

from dmp.config import DataConfig
from dmp.data.registry import Images, dataset_info
from dmp.rng import generator


def load_split(config: DataConfig) -> tuple[Images, Images]:
    """Return (training images, held-out images), disjoint and without those of the extractor.

    The split is the same for every seed, so that no variant ever trains on a held-out image.

    Raises:
        DMPError: unknown dataset.

    """
    images, labels = dataset_info(config.name).load()
    kept, out = held_out_split(len(images), config.held_out)
    kept = kept[config.parts(len(images))["extractor"] :]
    return Images(images[kept], labels[kept]), Images(images[out], labels[out])


def load_extractor_split(config: DataConfig) -> Images:
    """Return the images that the dataset's feature extractor is trained on, and nothing else.

    Raises:
        DMPError: unknown dataset.

    """
    images, labels = dataset_info(config.name).load()
    kept, _ = held_out_split(len(images), config.held_out)
    rows = kept[: config.parts(len(images))["extractor"]]
    return Images(images[rows], labels[rows])


def held_out_split(count: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of all other and of the held-out images of ``count``, in random order."""
    order = generator(0, "held-out split").permutation(count)
    held_out = round(count * share)
    return order[held_out:], order[:held_out]


def to_model(pixels: Tensor) -> Tensor:
    """Map uint8 pixels to float32 in [-1, 1]: ``u / 127.5 - 1``; latents are left as they are."""
    return pixels.to(torch.float32) / 127.5 - 1 if pixels.dtype == torch.uint8 else pixels


def to_pixels(values: Tensor) -> Tensor:
    """Map model values to uint8 pixels: clamp to [-1, 1], then round ``(v + 1) · 127.5``.

    Rounding inverts :func:`to_model` exactly; the evaluation protocol names it ``round``.
    """
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
