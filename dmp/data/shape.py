"""What a backbone is fed, known from the configuration alone: no image is read, no torch needed."""

from typing import NamedTuple

from dmp.config import DataConfig
from dmp.data.formats import captions_per_image
from dmp.data.registry import dataset_info

RGB = 3


class InputShape(NamedTuple):
    """What a backbone has to fit.

    Attributes:
        size: height and width, in pixels or, where the data has latents, in latents.
        channels: C.
        classes: number of labels; 1 where there are none.
        flip: whether a mirrored image is still a member of the dataset.
    """

    size: int
    channels: int
    classes: int
    flip: bool


def input_shape(config: DataConfig, where: str = "dataset") -> InputShape:
    """Return the shape of what a backbone is fed, of an embedded dataset or of one on disk.

    Args:
        where: the place in a file, for the message.

    Raises:
        DMPError: the data has no source, and no embedded dataset has its name.
    """
    source, latents = config.source, config.latents
    if source is None:
        info = dataset_info(config.name, where)
        return InputShape(info.image_size, info.channels, info.classes, info.flip)
    if latents is None:  # what an autoencoder is fed
        return InputShape(source.resolution, RGB, source.classes, source.flip)
    size = source.resolution // latents.factor
    return InputShape(size, latents.channels, source.classes, source.flip)


def has_captions(config: DataConfig) -> bool:
    """Return whether the images have captions.

    Raises:
        DMPError: as :func:`input_shape`, or the format is unknown.
    """
    if config.source is None:
        return dataset_info(config.name).phrases is not None
    return captions_per_image(config.source) > 0
