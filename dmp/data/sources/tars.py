"""ImageNet as distributed: one tar per class, or one tar of such tars; nothing is unpacked."""

from pathlib import Path

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.classes import IMAGENET
from dmp.data.sources.files import Files
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.tarfiles import open_tars


@dataset_format("tars")
class ClassTars(FileSource):
    """One tar per class; a label is the number of its tar by name, as with class folders."""

    reads = ("classes",)
    expected = "ILSVRC2012_img_train.tar as distributed, or a folder with one .tar per class"
    origin = IMAGENET

    def __init__(self, config: SourceConfig, path: Path) -> None:
        super().__init__(config, path)
        names = (self.name(index) for index in range(len(self)))
        tars = [name.rpartition(".tar:")[0].rpartition(".tar:")[2] for name in names]
        self.set_labels(sorted(set(tars)), tars)

    def list_files(self, path: Path) -> Files:
        """Return the members of the tars."""
        return open_tars(path, self.findings)
