"""What every dataset on disk can be asked, whatever its format."""

import abc
from collections.abc import Sequence

from PIL import Image


class Source(abc.ABC):
    """A dataset on disk: images by number, in an order that depends on their names alone.

    Opening one lists names and sizes; images are read one at a time, so that memory does not grow
    with their number. A source can be pickled and handed to another process.
    """

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

    @abc.abstractmethod
    def image(self, index: int) -> Image.Image:
        """Return an image in RGB, at its own size.

        Raises:
            DMPError: it is missing, truncated, corrupt, too small, or of a mode that the dataset
                is not known to contain; the message names the file and says what to do.

        """

    def label(self, index: int) -> int:
        """Return an image's class; 0 where the dataset has none."""
        return 0

    def captions(self, index: int) -> Sequence[str]:
        """Return an image's captions; none where the dataset has none."""
        return ()
