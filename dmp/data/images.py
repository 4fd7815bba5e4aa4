"""From a configuration to training and held-out images, and between pixels and model values."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

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
    kept, _, out = _parts(images, config)
    return Images(images[kept], labels[kept]), Images(images[out], labels[out])


def load_extractor_split(config: DataConfig) -> Images:
    """Return the images that the dataset's feature extractor is trained on, and nothing else.

    Raises:
        DMPError: unknown dataset.
    """
    images, labels = dataset_info(config.name).load()
    _, rows, _ = _parts(images, config)
    return Images(images[rows], labels[rows])


def _parts(images: np.ndarray, config: DataConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of training images, of those of the extractor, and of held-out ones."""
    groups: dict[bytes, list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(hashlib.sha256(image.tobytes()).digest(), []).append(number)
    copies = [numbers for numbers in groups.values() if len(numbers) > 1]
    kept, out = held_out_split(len(images), config.held_out, copies)
    train, own = _cut(kept, config.parts(len(images))["extractor"], copies)
    return train, own, out


def held_out_split(
    count: int, share: float, copies: Sequence[Sequence[int]] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of all other and of the held-out images of ``count``, in random order.

    Args:
        share: of them that is held out.
        copies: numbers of images that show the same, which stay on one side; unless all do.
    """
    order = generator(0, "held-out split").permutation(count)
    return _cut(order, round(count * share), copies)


def _cut(
    order: np.ndarray, wanted: int, copies: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rest of some numbers and the first ``wanted`` of them, in their order.

    Copies are taken together where the first of them stands, if they fit; of many copies of one
    image few splits then have any. Where nothing fills the gap that is left, the fewest are taken
    that do, and more than ``wanted`` are.
    """
    if not copies or len(copies[0]) == len(order):  # nothing to keep together, or to part
        return order[wanted:], order[:wanted]
    first = np.arange(order.max() + 1)
    for numbers in copies:
        if max(numbers) < len(first):  # else they are of another part
            first[list(numbers)] = numbers[0]
    size = np.bincount(first[order], minlength=len(first))
    heads = order[first[order] == order]
    taken, missing = np.zeros(len(first), bool), wanted
    for head in heads.tolist():
        if size[head] <= missing:
            taken[head] = True
            missing -= size[head]
    left = heads[~taken[heads]]
    if missing and len(left) > 1:
        taken[left[size[left].argmin()]] = True
    chosen = taken[first[order]]
    return order[~chosen], order[chosen]


def to_model(pixels: Tensor) -> Tensor:
    """Map uint8 pixels to float32 in [-1, 1]: ``u / 127.5 - 1``; latents are left as they are."""
    return pixels.to(torch.float32) / 127.5 - 1 if pixels.dtype == torch.uint8 else pixels


def resized(values: Tensor, edge: int) -> Tensor:
    """Resize values ``(B, C, H, W)`` bilinearly, smoothed where they get fewer."""
    return nn.functional.interpolate(values, size=(edge, edge), mode="bilinear", antialias=True)


def resized_images(data: Images, edge: int) -> Images:
    """Return images at another resolution, as values."""
    values = resized(to_model(torch.from_numpy(data.images)), edge)
    return Images(values.numpy(), data.labels)


def to_pixels(values: Tensor) -> Tensor:
    """Map model values to uint8 pixels: clamp to [-1, 1], then round ``(v + 1) · 127.5``.

    Rounding inverts :func:`to_model` exactly; the evaluation protocol names it ``round``.
    """
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
