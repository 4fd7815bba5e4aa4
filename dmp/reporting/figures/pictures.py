"""Drawing images."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

# A montage is so many images wide, and high.
EDGE = 8


def montage(images: np.ndarray, below: Sequence[np.ndarray] | np.ndarray = ()) -> np.ndarray:
    """Return (n, C, H, W) images, n up to 64, as one (C, 8 (H + 1) - 1, 8 (W + 1) - 1) picture.

    They fill it row by row, and those of ``below`` its last rows; what is left over, and a pixel
    between any two, is white.
    """
    channels, height, width = images.shape[1:]
    canvas = np.full(
        (channels, EDGE * (height + 1) - 1, EDGE * (width + 1) - 1), 255, dtype=np.uint8
    )
    first = EDGE * (EDGE - math.ceil(len(below) / EDGE))
    for index, image in [*enumerate(images), *enumerate(below, start=first)]:
        top, left = index // EDGE * (height + 1), index % EDGE * (width + 1)
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def show(axes: Axes, image: np.ndarray) -> None:
    """Draw a (C, H, W) uint8 image; a grey one as it stands, not stretched to its own range."""
    grey = image.shape[0] == 1
    # Enlarged here: some viewers of SVG and PDF smooth small pictures.
    factor = max(1, math.ceil(256 / image.shape[1]))
    large = image.repeat(factor, axis=1).repeat(factor, axis=2)
    picture = large[0] if grey else large.transpose(1, 2, 0)
    axes.imshow(picture, cmap="gray" if grey else None, vmin=0, vmax=255)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
