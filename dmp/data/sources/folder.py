"""Images in a folder or a zip, as FFHQ is distributed."""

from dmp.data.formats import dataset_format
from dmp.data.sources.filesource import FileSource


@dataset_format("folder")
class Folder(FileSource):
    """A folder or a zip of images, at any depth."""

    expected = "a folder or a .zip of images"
    origin = (
        "FFHQ: https://github.com/NVlabs/ffhq-dataset (licence CC BY-NC-SA 4.0, images1024x1024)"
    )
