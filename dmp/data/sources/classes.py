"""Images in one folder per class, as ImageNet is once it is unpacked."""

from pathlib import Path

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.files import Files
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.findings import AGAIN, DamagedFileError, Finding

IMAGENET = (
    "ImageNet: register at https://image-net.org, accept the terms of access, and download "
    "ILSVRC2012_img_train.tar"
)


@dataset_format("classes")
class ClassFolders(FileSource):
    """One folder per class, whatever lies below it; a label is a folder's number by name."""

    reads = ("classes",)
    expected = "a folder with one folder of images per class"
    origin = IMAGENET

    def __init__(self, config: SourceConfig, path: Path) -> None:
        import numpy as np

        super().__init__(config, path)
        # Listed apart from the files: a class without an image has to be noticed.
        classes = self._files.folders
        folders = [self.name(index).partition("/")[0] for index in range(len(self))]
        labels = self.set_labels(classes, folders)
        problem = "the image lies in no class folder"
        remedy = "move it into its class, or remove it"
        outside = (self.name(index) for index in np.flatnonzero(labels < 0))
        self.findings += [Finding(name, "damage", problem, remedy) for name in outside]
        empty = sorted(set(classes) - set(folders))
        self.findings += [Finding(n, "damage", "the class has no image", AGAIN) for n in empty]

    def list_files(self, path: Path) -> Files:
        """Return all files below the folder."""
        if not path.is_dir():
            raise DamagedFileError(path, "is not a folder", "unpack it, or correct 'path'")
        return super().list_files(path)
