"""Datasets that can be fetched without a person: from the Hugging Face hub, or as archives.

Whatever is under way has a hidden name. A dataset gets its own name only when it is whole and
verified, so that none is ever taken for complete that is not; a fetch that was interrupted goes on
from there.
"""

from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dmp.config import SourceConfig
from dmp.data.fetching.archive import fetch_archive
from dmp.data.fetching.disk import disk_error, readable
from dmp.data.fetching.hub import fetch_snapshot
from dmp.errors import DMPError


def is_there(source: SourceConfig, root: Path) -> bool:
    """Return whether everything that a dataset is fetched for lies below ``root``."""
    archives = source.download.archives if source.download else []
    return all((root / path).exists() for path in (source.path, *(a.gives for a in archives)))


def origins(source: SourceConfig, root: Path) -> Iterator[str]:
    """Yield what of a dataset is still needed, and from where: a line for each file or pattern."""
    download = source.download
    if download.hub is not None:
        files = ", ".join(download.files) or "all files"
        yield (
            f"{files} of https://huggingface.co/datasets/{download.hub} ({download.revision}), to "
            f"{root / source.path}"
        )
    for archive in download.archives:
        if not (root / archive.gives).exists():
            yield f"{archive.url} ({readable(archive.size)}), unpacked to {root / archive.gives}"


def fetch(name: str, source: SourceConfig, root: Path) -> None:
    """Fetch what of a dataset is not there; its licence has been accepted.

    Args:
        name: what the dataset is called, for messages.
        source: the dataset, with ``download``.
        root: the folder of all data.

    Raises:
        DMPError: it cannot be had, is not what it should be, or does not fit; the message names
            dataset and file and says what to do.

    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock", timeout=0):
            if source.download.hub is not None:
                fetch_snapshot(name, source.download, root / source.path)
            for archive in source.download.archives:
                fetch_archive(name, archive, root)
    except Timeout as error:
        raise DMPError(
            f"dataset '{name}': another process is fetching datasets to {root}; wait for it"
        ) from error
    except OSError as error:
        raise disk_error(name, root, error) from error
