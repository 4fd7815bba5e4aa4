"""Where real images come from, and the latents that a backbone is trained on in their place."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from dmp.config.base import Strict


class SourceConfig(Strict):
    """A dataset on disk, as it is distributed.

    Attributes:
        format: ``folder``: a folder or a zip of images, at any depth (FFHQ); ``classes``: one
            folder per class; ``tars``: one tar per class, or one tar of such tars (ImageNet);
            ``coco``: a folder of images and a ``captions_*.json``; ``webdataset``: tar shards of
            images and captions; ``parquet``: a table of file names and captions beside images.
        path: folder or file, below the folder of all data (``--data``).
        captions: for ``coco`` and ``parquet``: the file with the captions, below ``path``'s folder.
        resolution: edge in pixels after centre crop and resize.
        classes: number of classes; 1 where there are none.
        flip: whether a mirrored image is still a member of the dataset.
        images: how many there have to be; None if any number will do.
        convert: modes other than RGB, as Pillow names them, that are converted to RGB because the
            dataset is known to contain them; any other mode is an error.
        smallest: images with a shorter edge are refused.

    """

    format: Literal["folder", "classes", "tars", "coco", "webdataset", "parquet"]
    path: str
    captions: str | None = None
    resolution: PositiveInt = 256
    classes: PositiveInt = 1
    flip: bool = True
    images: NonNegativeInt | None = None
    convert: list[Literal["L", "LA", "RGBA", "P", "CMYK"]] = []
    smallest: PositiveInt = 64


class LatentsConfig(Strict):
    """The autoencoder whose latents stand for the pixels.

    Attributes:
        autoencoder: a name on the Hugging Face hub, or a local folder in diffusers' format.
        channels: latent channels that the backbone is made for.
        factor: pixels per latent, along an edge.
        scaling: latents are multiplied by it before they are noised.
        dtype: of the cached mean and log-variance.
        shard_size: images per shard file.
        batch_size: images encoded or decoded at once.

    """

    autoencoder: str = "stabilityai/sd-vae-ft-ema"
    channels: PositiveInt = 4
    factor: PositiveInt = 8
    scaling: PositiveFloat = 0.18215
    dtype: Literal["float16", "float32"] = "float16"
    shard_size: Annotated[int, Field(ge=1)] = 8192
    batch_size: PositiveInt = 32
