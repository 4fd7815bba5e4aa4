"""One centre crop and resize for training images and for those of reference statistics."""

import numpy as np
from PIL import Image


def center_crop(image: Image.Image, resolution: int) -> np.ndarray:
    """Scale an image so that its shorter edge is ``resolution``, and cut out the centre.

    The recipe of ADM (Dhariwal and Nichol, 2021), which DiT and its successors follow: halve by
    averaging 2×2 pixels as long as the shorter edge stays at least ``resolution``, then scale
    bicubically, then cut; where one pixel more has to go on one side, on the lower or right.

    The image is in RGB, the result ``(3, resolution, resolution)`` uint8.
    """
    while min(image.size) >= 2 * resolution:
        width, height = image.size
        image = image.resize((width // 2, height // 2), Image.Resampling.BOX)
    scale = resolution / min(image.size)
    width, height = (round(edge * scale) for edge in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    top, left = ((edge - resolution) // 2 for edge in pixels.shape[:2])
    cut = pixels[top : top + resolution, left : left + resolution]
    return np.ascontiguousarray(cut.transpose(2, 0, 1))
