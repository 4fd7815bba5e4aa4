"""What every dataset on disk can be asked, whatever its format."""

import abc
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dmp.config import SourceConfig
from dmp.data.sources.decoding import decode, to_rgb
from dmp.data.sources.findings import Finding


class Source(abc.ABC):
    """A dataset on disk: images by number, in the order of their names.

    Opening one lists names and sizes; images are read one at a time, so that memory does not grow
    with their number. A source can be pickled and handed to another process.

    Attributes:
        config: what the dataset is known to be.
        base: the folder that names are relative to.
        captioned: whether every image has to have a caption.
        classes: names of the classes, in the order of their labels; empty where there are none.
        findings: what opening noticed without reading an image, such as an archive that ends early
            or captions without an image. The check stage reports them all.

    """

    config: SourceConfig
    base: Path
    captioned: bool = False
    classes: Sequence[str] = ()
    findings: Sequence[Finding] = ()

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """Return where an image lies: ``folder/file.png`` or ``archive.tar:member.jpg``."""

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Return an image's bytes as they are stored.

        Raises:
            DMPError: it cannot be read; the message names the file.

        """

    def image(self, index: int) -> Image.Image:
        """Return an image in RGB, at its own size; see :mod:`dmp.data.sources.decoding`.

        Raises:
            DMPError: it is missing, truncated, corrupt, too small, or of a mode that the dataset
                is not known to contain; the message names the file and says what to do.

        """
        where = str(self.base / self.name(index))
        image = decode(self.read(index), where, self.config.smallest)
        return to_rgb(image, where, self.config.convert)

    def label(self, index: int) -> int:
        """Return an image's class; 0 where the dataset has none."""
        return 0

    def captions(self, index: int) -> Sequence[str]:
        """Return an image's captions, without surrounding blanks; none where there are none.

        Raises:
            DMPError: they cannot be read; the message names the file.

        """
        return ()
