"""An image is decoded whole or refused with its name and what to do."""

import io
import struct
import zlib

import numpy as np
import pytest
import real_formats as real
from PIL import Image

from dmp.data.sources.decoding import CONVERTIBLE, decode, to_rgb
from dmp.data.sources.findings import DamagedFileError


def load(data, convert=(), smallest=64):
    return to_rgb(decode(data, "some/file", smallest), "some/file", convert)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_truncation_is_refused_or_has_lost_no_pixel(suffix):
    data = real.encode(real.make_image(3), suffix)
    whole = np.asarray(load(data))
    refused = 0
    for length in range(0, len(data), 13 if len(data) < 10**4 else 101):
        try:
            assert np.array_equal(np.asarray(load(data[:length])), whole)
        except DamagedFileError as error:
            assert "some/file: the file is" in str(error)  # noqa: PT017
            refused += 1
    # A PNG can lose its last chunk, which holds nothing.
    assert refused >= len(range(0, len(data) - 12, 13 if len(data) < 10**4 else 101))


def test_a_flipped_bit_in_a_png_is_refused():
    data = bytearray(real.encode(real.make_image(3), ".png"))
    for position in range(40, len(data) - 16, 97):
        data[position] ^= 4
        with pytest.raises(DamagedFileError, match=r"truncated or corrupt|not an image"):
            load(bytes(data))
        data[position] ^= 4


@pytest.mark.parametrize("data", [b"<html>404 Not Found</html>" * 9, bytes(500)])
def test_other_bytes_are_refused(data):
    with pytest.raises(DamagedFileError, match="some/file: the file is not an image"):
        load(data)


def test_an_empty_file_is_refused():
    with pytest.raises(DamagedFileError, match="some/file: the file is empty; copy or download"):
        load(b"")


@pytest.mark.parametrize(
    ("mode", "suffix", "described"),
    [
        ("L", ".jpg", r"grayscale \(mode L\)"),
        ("LA", ".png", r"grayscale \(mode LA\)"),
        ("RGBA", ".png", "of mode RGBA"),
        ("P", ".png", "of mode P"),
        ("CMYK", ".jpg", "of mode CMYK"),
    ],
)
def test_another_mode_is_refused_unless_it_is_known_to_occur(mode, suffix, described):
    image = real.make_image(3, mode=mode)
    data = real.encode(image, suffix)
    with pytest.raises(DamagedFileError, match=f"{described}, not RGB; .*add {mode} to 'convert'"):
        load(data, convert=[m for m in CONVERTIBLE if m != mode])
    converted = load(data, convert=[mode])
    assert converted.mode == "RGB"
    difference = np.asarray(converted).astype(int) - np.asarray(image.convert("RGB"))
    assert np.abs(difference).mean() < 6


def test_a_mode_that_is_never_converted_is_refused():
    with pytest.raises(DamagedFileError, match=r"black and white \(mode 1\).*convert the file"):
        load(real.encode(real.make_image(3, mode="1")), convert=CONVERTIBLE)


def sixteen_bit_rgb_png(size: int = 64) -> bytes:
    """A PNG that Pillow opens as RGB, and whose low bytes it drops without a word."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", size, size, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(6 * size) for _ in range(size))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def deep(mode: str, suffix: str) -> bytes:
    buffer = io.BytesIO()
    array = np.arange(64 * 64).reshape(64, 64)
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    Image.fromarray(array.astype(dtype)).save(buffer, {".png": "PNG", ".tif": "TIFF"}[suffix])
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(deep("I;16", ".png"), id="16-bit grayscale PNG"),
        pytest.param(deep("I;16", ".tif"), id="16-bit grayscale TIFF"),
        pytest.param(deep("I", ".tif"), id="32-bit TIFF"),
        pytest.param(deep("F", ".tif"), id="floating-point TIFF"),
        pytest.param(sixteen_bit_rgb_png(), id="16-bit colour PNG"),
    ],
)
def test_more_than_eight_bits_are_never_converted(data):
    with pytest.raises(DamagedFileError, match=r"more than 8 bits per channel.*convert the file"):
        load(data, convert=CONVERTIBLE)


def test_small_images_are_refused_by_their_shorter_edge():
    wide = real.encode(real.make_image(3).resize((200, 63)))
    with pytest.raises(DamagedFileError, match=r"200×63 pixels.*has to have 64; .*'smallest'"):
        load(wide)
    assert load(wide, smallest=63).size == (200, 63)


def test_an_image_too_large_to_be_meant_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DamagedFileError, match=r"some/file.*exceeds limit"):
        load(real.encode(real.make_image(3)))


def test_exif_orientation_is_ignored_as_in_the_adm_recipe():
    image = real.make_image(3).resize((100, 70))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    assert np.array_equal(np.asarray(load(buffer.getvalue())), np.asarray(image))
