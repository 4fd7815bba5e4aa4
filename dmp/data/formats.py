"""The formats of datasets on disk, by name: those of this package, and those of others.

A format is one subclass of :class:`~dmp.data.sources.base.Source` under the decorator
:func:`dataset_format`: a module of :mod:`dmp.data.sources`, or one of another package that is named
in its entry-point group ``dmp.formats``. Ours import NumPy inside functions alone: commands that
answer at once import them.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dmp.config import DataConfig, SourceConfig
from dmp.errors import DMPError
from dmp.registry import add, find, load_all

if TYPE_CHECKING:
    from dmp.data.sources.base import Source

Reader = TypeVar("Reader", bound="type[Source]")

_FORMATS: "dict[str, type[Source]]" = {}


def dataset_format(name: str) -> Callable[[Reader], Reader]:
    """Register the decorated class as the reader of a format."""

    def register(reader: Reader) -> Reader:
        add(_FORMATS, name, reader, "format")
        return reader

    return register


@functools.cache
def _load() -> None:
    load_all("dmp.data.sources", "dmp.formats")


def format_names() -> list[str]:
    """Return the names of all formats."""
    _load()
    return sorted(_FORMATS)


def find_format(name: str, where: str = "format") -> "type[Source]":
    """Return the reader of a format.

    Raises:
        DMPError: there is no such format; the message says which there are.
    """
    _load()
    return find(_FORMATS, name, "format", where)


def check_sources(config: DataConfig, where: str) -> None:
    """Check formats and their options before anything is read.

    Raises:
        DMPError: a format is unknown, or cannot do with the options it is given.
    """
    for key, source in (("source", config.source), ("test", config.test)):
        if source is not None:
            place = f"{where}.{key}"
            find_format(source.format, f"{place}.format").check(source, place)


def captions_per_image(config: SourceConfig) -> int:
    """Return about how many captions an image has; 0 where the format has none."""
    return find_format(config.format).captions_per_image(config)


def open_source(config: SourceConfig, root: Path, name: str) -> "Source":
    """Open a dataset without reading an image; nothing is downloaded.

    Args:
        root: the folder of all data.

    Returns:
        the source; damage to single files is in its ``findings``.

    Raises:
        DMPError: nothing is there, or not in this format; the message says what is expected, and
            where to get it.
    """
    reader, path = find_format(config.format), root / config.path
    reader.check(config, f"dataset '{name}'")
    problem = None
    if not path.exists():
        problem = f"{path} does not exist"
    else:
        try:
            source = reader(config, path)
            if len(source) or any(f.severity == "damage" for f in source.findings):
                return source
            problem = f"{path} holds no image"
        except DMPError as error:
            problem = str(error)
    origin = f"`dmp download {name}` fetches it" if config.download else reader.origin
    raise DMPError(
        f"dataset '{name}': {problem}. Format '{config.format}' expects {reader.expected}, at "
        f"'{config.path}' below the folder of all data, {root} (--data). {origin}."
    )
