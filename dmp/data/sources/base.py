"""What every dataset on disk can be asked, whatever its format."""

import abc
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

from PIL import Image

from dmp.config import SourceConfig, Strict, from_data
from dmp.data.sources.decoding import decode, to_rgb
from dmp.data.sources.findings import Finding
from dmp.errors import DMPError

_WITHOUT = {"captions": "has no captions, or finds them by itself", "classes": "has no classes"}


class Source(abc.ABC):
    """A dataset on disk: images by number, in the order of their names.

    Opening one lists names and sizes; images are read one at a time: memory does not grow with
    their number. A source can be pickled and handed to another process.

    Attributes:
        expected: what has to lie at the path, for messages.
        origin: where such data comes from, and on which terms.
        Options: what may stand in the configuration's ``options``; nothing by default.
        reads: which of the configuration's ``captions`` and ``classes`` the format knows what to
            do with; the other may not be given.
        base: the folder that names are relative to.
        captioned: whether every image has to have a caption.
        classes: names of the classes, in the order of their labels; empty where there are none.
        findings: what opening noticed without reading an image, such as an archive that ends early
            or captions without an image. The check stage reports them all.
    """

    expected: ClassVar[str]
    origin: ClassVar[str]
    Options: ClassVar[type[Strict]] = Strict
    reads: ClassVar[Collection[str]] = ("captions", "classes")

    captioned: bool = False
    classes: Sequence[str] = ()

    def __init__(self, config: SourceConfig, path: Path) -> None:
        """Open a dataset.

        Args:
            config: what the dataset is known to be; it has passed :meth:`check`.
            path: where it lies; something is there.

        Raises:
            DMPError: it is something else.
        """
        self.config, self.base = config, path if path.is_dir() else path.parent
        self.findings: list[Finding] = []

    @classmethod
    def check(cls, config: SourceConfig, where: str) -> None:
        """Check a configuration before anything is read.

        Raises:
            DMPError: naming the key, the value and what is accepted.
        """
        from_data(cls.Options, config.options, f"{where}: options")
        for key, given in (("captions", config.captions), ("classes", config.classes)):
            if given not in (None, 1) and key not in cls.reads:
                raise DMPError(
                    f"{where}: {key} = {given!r} has no meaning in format '{config.format}', which "
                    f"{_WITHOUT[key]}; leave it out, or choose another format"
                )

    @classmethod
    def captions_per_image(cls, config: SourceConfig) -> int:
        """Return about how many captions an image has, for planning; 0 where there are none."""
        return 0

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
