"""From a configuration to a dataset on disk; where each dataset is to be had.

Nothing is ever downloaded here: the licences of most of these datasets have to be accepted by a
person, and all of them are larger than one would want to fetch by surprise.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from dmp.config import SourceConfig
from dmp.data.sources.base import Source
from dmp.data.sources.coco import CocoCaptions
from dmp.data.sources.folder import ClassFolders, open_folder
from dmp.data.sources.parquet import ParquetCaptions
from dmp.data.sources.parquetimages import ParquetImages
from dmp.data.sources.tars import ClassTars
from dmp.data.sources.webdataset import WebDataset
from dmp.errors import DMPError


class Format(NamedTuple):
    """A format in which datasets are distributed.

    Attributes:
        open: makes the source from the configuration and an existing path.
        expected: what has to lie at the path.
        origin: where such data comes from, and on which terms.

    """

    open: Callable[[SourceConfig, Path], Source]
    expected: str
    origin: str


_IMAGENET = (
    "ImageNet: register at https://image-net.org, accept the terms of access, and download "
    "ILSVRC2012_img_train.tar"
)
_LAION = (
    "LAION: the links are at https://huggingface.co/laion, where the terms of the (gated) dataset "
    "have to be accepted; img2dataset (https://github.com/rom1504/img2dataset) downloads the "
    "images with --image_size 512"
)

FORMATS: Mapping[str, Format] = {
    "folder": Format(
        open_folder,
        "a folder or a .zip of images",
        "FFHQ: https://github.com/NVlabs/ffhq-dataset (licence CC BY-NC-SA 4.0, images1024x1024)",
    ),
    "classes": Format(ClassFolders, "a folder with one folder of images per class", _IMAGENET),
    "tars": Format(
        ClassTars,
        "ILSVRC2012_img_train.tar as distributed, or a folder with one .tar per class",
        _IMAGENET,
    ),
    "coco": Format(
        CocoCaptions,
        "a folder or .zip of images such as train2014, and beside it the captions, such as "
        "annotations/captions_train2014.json",
        "MS-COCO 2014: https://cocodataset.org/#download (train2014.zip, val2014.zip, "
        "annotations_trainval2014.zip; free, no registration)",
    ),
    "webdataset": Format(
        WebDataset,
        "a folder of .tar shards with images and captions",
        f"{_LAION} --output_format webdataset",
    ),
    "parquet": Format(
        ParquetCaptions,
        "a folder of images with .parquet tables of their names and captions",
        f"{_LAION} --output_format files",
    ),
    "parquet-images": Format(
        ParquetImages,
        "a .parquet table with the images in it, or a folder of such tables of one split",
        "ImageNet on the Hugging Face hub: https://huggingface.co/datasets/ILSVRC/imagenet-1k, "
        "where the terms of the (gated) dataset have to be accepted",
    ),
}


def open_source(config: SourceConfig, root: Path, name: str) -> Source:
    """Open a dataset without reading an image.

    Args:
        config: its format and place.
        root: the folder of all data.
        name: what the dataset is called, for messages.

    Returns:
        the source; damage to single files is in its ``findings``.

    Raises:
        DMPError: nothing is there, or not in this format; the message says what is expected, and
            where it is to be had.

    """
    path = root / config.path
    kind = FORMATS[config.format]
    if not path.exists():
        raise _lacking(name, config, f"{path} does not exist", root)
    try:
        source = kind.open(config, path)
    except DMPError as error:
        raise _lacking(name, config, str(error), root) from error
    if not len(source) and not any(f.severity == "damage" for f in source.findings):
        raise _lacking(name, config, f"{path} holds no image", root)
    return source


def _lacking(name: str, config: SourceConfig, problem: str, root: Path) -> DMPError:
    kind = FORMATS[config.format]
    origin = f"`dmp download {name}` fetches it" if config.download else kind.origin
    return DMPError(
        f"dataset '{name}': {problem}. Format '{config.format}' expects {kind.expected}, at "
        f"'{config.path}' below the folder of all data, {root} (--data). Nothing is downloaded by "
        f"itself. {origin}."
    )
