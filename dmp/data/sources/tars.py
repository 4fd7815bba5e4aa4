"""ImageNet as distributed: one tar per class, or one tar of such tars; nothing is unpacked."""

from pathlib import Path

import numpy as np

from dmp.config import SourceConfig
from dmp.data.sources.files import TarFiles
from dmp.data.sources.findings import DamagedFileError, Finding
from dmp.data.sources.folder import FileSource
from dmp.data.sources.tarindex import list_tar


class ClassTars(FileSource):
    """One tar per class; a label is the number of its tar by name, as with class folders."""

    def __init__(self, config: SourceConfig, path: Path) -> None:
        findings: list[Finding] = []
        base = path if path.is_dir() else path.parent
        files = TarFiles(member for tar in archives(path) for member in list_tar(tar, findings))
        super().__init__(config, base, files, findings)
        folders = [_class(self.name(index)) for index in range(len(self))]
        self.classes = sorted(set(folders))
        numbers = {name: number for number, name in enumerate(self.classes)}
        self._labels = np.array([numbers[folder] for folder in folders], np.int32)

    def label(self, index: int) -> int:
        """Return the number of an image's tar."""
        return int(self._labels[index])


def archives(path: Path) -> list[Path]:
    """Return the tars at ``path``, a tar or a folder of tars.

    Raises:
        DamagedFileError: it is a file of another name.

    """
    if not path.is_dir() and path.suffix != ".tar":
        raise DamagedFileError(path, "is not a .tar", "decompress it, or correct 'path'")
    return sorted(path.glob("*.tar")) if path.is_dir() else [path]


def _class(name: str) -> str:
    return name.rpartition(".tar:")[0].rpartition(".tar:")[2]
