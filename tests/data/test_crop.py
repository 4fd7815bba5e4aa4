"""The crop is that of ADM: its halvings and its bicubic step against independent arithmetic."""

import numpy as np
import pytest
import real_formats as real
import torch
from PIL import Image

from dmp.data.crop import center_crop


def photograph(width: int, height: int) -> Image.Image:
    """A smooth image with some noise, without any symmetry."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    noise = np.random.default_rng(0).normal(size=(height, width, 3))
    waves = np.stack([np.sin(5 * x + y), np.cos(3 * y * x), np.sin(9 * y)], axis=-1)
    return Image.fromarray((128 + 90 * waves + 9 * noise).clip(0, 255).astype(np.uint8))


def chw(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)


def halve(pixels: np.ndarray) -> np.ndarray:
    """Average 2×2 pixels of (C, H, W), rounding half up after each direction, as 8 bits do."""
    wide = pixels.astype(int)
    wide = (wide[:, :, ::2] + wide[:, :, 1::2] + 1) // 2
    return ((wide[:, ::2] + wide[:, 1::2] + 1) // 2).astype(np.uint8)


@pytest.mark.parametrize("size", [8, 64, 256])
def test_an_image_of_the_resolution_is_untouched(size):
    image = real.make_image(3, size)
    result = center_crop(image, size)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert np.array_equal(result, chw(image))


def test_only_the_longer_edge_is_cut_and_the_odd_pixel_goes_below_or_right():
    image = photograph(101, 64)
    assert np.array_equal(center_crop(image, 64), chw(image)[:, :, 18:82])
    image = photograph(64, 101)
    assert np.array_equal(center_crop(image, 64), chw(image)[:, 18:82])


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_powers_of_two_are_halvings_alone(halvings):
    image = photograph(32 << halvings, 32 << halvings)
    expected = chw(image)
    for _ in range(halvings):
        expected = halve(expected)
    assert np.array_equal(center_crop(image, 32), expected)


def box(edge: int) -> torch.Tensor:
    """Return (edge // 2, edge): each half-size pixel averages the pixels centred inside of it."""
    half = edge // 2
    scale = edge / half
    inside = torch.arange(edge) + 0.5 - scale * (torch.arange(half)[:, None] + 0.5)
    weights = ((inside > -scale / 2) & (inside <= scale / 2)).double()
    return weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("width", "height"), [(500, 375), (375, 500), (300, 200), (640, 427), (90, 70), (61, 47)]
)
def test_any_size_agrees_with_torch_bicubic_after_the_halvings(width, height):
    resolution = 64
    image = photograph(width, height)
    expected = torch.from_numpy(chw(image).copy()).double()[None]
    while min(expected.shape[-2:]) >= 2 * resolution:
        # Pillow scales horizontally, then vertically, and rounds half up to 8 bits after each.
        expected = (expected @ box(expected.shape[-1]).T + 0.5).floor()
        expected = (box(expected.shape[-2]) @ expected + 0.5).floor()
    scale = resolution / min(expected.shape[-2:])
    scaled = [round(edge * scale) for edge in expected.shape[-2:]]
    expected = torch.nn.functional.interpolate(
        expected, scaled, mode="bicubic", antialias=True, align_corners=False
    )
    top, left = ((edge - resolution) // 2 for edge in scaled)
    expected = expected[0, :, top : top + resolution, left : left + resolution].numpy()
    difference = np.abs(center_crop(image, resolution) - expected.clip(0, 255))
    assert difference.mean() < 0.5
    assert difference.max() <= 2


@pytest.mark.parametrize(("width", "height"), [(512, 256), (128, 64), (300, 200), (256, 512)])
def test_a_mirrored_image_is_cropped_to_the_mirrored_result(width, height):
    image = photograph(width, height)
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert np.array_equal(center_crop(mirrored, 64), center_crop(image, 64)[:, :, ::-1])


@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (500, 333), (65, 4000), (64, 65)])
def test_a_constant_image_stays_constant(width, height):
    image = Image.new("RGB", (width, height), (200, 100, 3))
    result = center_crop(image, 64)
    assert result.shape == (3, 64, 64)
    assert np.array_equal(result, np.broadcast_to([[[200]], [[100]], [[3]]], (3, 64, 64)))
