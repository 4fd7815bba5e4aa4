"""From an image's bytes to RGB pixels, with nothing guessed and nothing repaired.

Pixels are taken as they are stored. An orientation in the EXIF data is ignored, as in the ADM
recipe, so that training images and reference statistics agree with those of the field.
"""

import io
from collections.abc import Sequence
from typing import get_args

from PIL import Image, ImageFile, UnidentifiedImageError

from dmp.config.data import Mode
from dmp.data.sources.findings import DamagedFileError

CONVERTIBLE: tuple[str, ...] = get_args(Mode)

_REPLACE = "copy or download it again, or remove it together with its caption or index entry"


def decode(data: bytes, where: str, smallest: int) -> Image.Image:
    """Decode a whole image, in the mode in which it is stored.

    Args:
        data: the file's bytes.
        smallest: the least number of pixels along the shorter edge.

    Raises:
        DamagedFileError: truncated, corrupt, not an image, over 8 bits per channel, or too small.
    """
    if not data:
        raise DamagedFileError(where, "the file is empty", _REPLACE)
    try:
        with Image.open(io.BytesIO(data)) as image:
            _refuse_depth(image, where)
            image.verify()  # the checksums of PNG, which decoding leaves out
        # A verified image cannot be decoded: it has to be opened again.
        image = Image.open(io.BytesIO(data))
        image.load()
    except (DamagedFileError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        remedy = "make it smaller, or remove it together with its caption or index entry"
        raise DamagedFileError(where, f"the image is too large ({error})", remedy) from error
    except UnidentifiedImageError as error:
        problem = "the file is not an image of a known kind"
        raise DamagedFileError(where, problem, _REPLACE) from error
    except Exception as error:  # Pillow's decoders answer bad bytes with almost any exception
        problem = f"the file is truncated or corrupt ({error})"
        raise DamagedFileError(where, problem, _REPLACE) from error
    if min(image.size) < smallest:
        width, height = image.size
        raise DamagedFileError(
            where,
            f"the image has {width}×{height} pixels, and the shorter edge has to have {smallest}",
            "remove it, or lower 'smallest' in the dataset's source if it belongs there",
        )
    return image


def frames(image: Image.Image) -> int:
    """Return how many images a file holds, of which one is decoded; photos with a preview have one.

    A camera's .jpg may have a small copy of the image behind it.
    """
    try:
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # Pillow looks for them in what follows the image, which may be anything
        return 1


def to_rgb(image: Image.Image, where: str, convert: Sequence[str]) -> Image.Image:
    """Return ``image`` in RGB; an alpha channel is dropped, not blended.

    Args:
        image: from :func:`decode`.
        convert: modes other than RGB that the dataset is known to contain.

    Raises:
        DamagedFileError: its mode is another.
    """
    if image.mode == "RGB":
        return image
    if image.mode in convert:
        return image.convert("RGB")
    remedy = "convert the file to RGB"
    if image.mode in CONVERTIBLE:
        remedy += f", or add {image.mode} to 'convert' if all such files are meant to be there"
    kind = {"L": "grayscale", "LA": "grayscale", "1": "black and white"}.get(image.mode)
    described = f"{kind} (mode {image.mode})" if kind else f"of mode {image.mode}"
    raise DamagedFileError(where, f"the image is {described}, not RGB", remedy)


def _refuse_depth(image: ImageFile.ImageFile, where: str) -> None:
    # The mode alone does not tell: Pillow opens 16-bit colour as RGB and drops the low bytes.
    raw = [str(a[:1] if isinstance(a, tuple) else a) for a in (tile.args for tile in image.tile)]
    deep = image.mode.startswith(("I", "F")) or any(";16" in r or ";32" in r for r in raw)
    if deep:
        raise DamagedFileError(
            where,
            f"the image has more than 8 bits per channel (mode {image.mode})",
            "convert the file to 8 bits per channel, since how to scale it is not for us to guess",
        )
