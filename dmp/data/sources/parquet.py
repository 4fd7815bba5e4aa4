"""Images in folders beside tables of their names and captions, as img2dataset writes for LAION."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import NamedTuple

from dmp.config import SourceConfig
from dmp.data.sources.captioned import captions_path, clean, orphaned
from dmp.data.sources.files import FolderFiles
from dmp.data.sources.findings import DamagedFileError, Finding
from dmp.data.sources.folder import FileSource
from dmp.errors import DMPError

CAPTIONS = ("caption", "text", "TEXT")


class _Row(NamedTuple):
    stem: str  # the image's name without its suffix
    caption: str
    downloaded: bool


class ParquetCaptions(FileSource):
    """A folder of images with tables beside them.

    A table names images by ``file_name``, relative to itself, or by ``key``: the table
    ``00000.parquet`` then tells of ``00000/<key>.jpg``. Captions are in ``caption``, ``text`` or
    ``TEXT``. Rows whose ``status`` says that their download failed are left out.

    Raises:
        DMPError: there is no table, it cannot be read, or it has other columns.

    """

    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        if not path.is_dir():
            raise DMPError(f"{path} is not a folder; 'path' has to be the folder of the images")
        super().__init__(config, path, FolderFiles(path), companions=(".parquet", ".txt", ".json"))
        rows = [row for table in _tables(config, path) for row in _rows(table, path)]
        captions = {row.stem: row.caption for row in rows if row.downloaded}
        stems = [self.name(index).rpartition(".")[0] for index in range(len(self))]
        self._captions = [captions.get(stem, "") for stem in stems]
        self.findings += orphaned(sorted(set(captions) - set(stems)))
        failed = sum(not row.downloaded for row in rows)
        if failed:
            problem = f"{failed} rows of the tables say that their image could not be downloaded"
            self.findings.append(Finding(".", "note", problem, "nothing; they are left out"))

    def captions(self, index: int) -> list[str]:
        """Return an image's captions: one, or none."""
        return clean([self._captions[index]])


def _tables(config: SourceConfig, path: Path) -> list[Path]:
    if config.captions is not None:
        return [captions_path(path, config.captions)]
    tables = sorted(path.glob("*.parquet"))
    if not tables:
        raise DMPError(f"{path} holds no .parquet; put the tables beside the folders of images")
    return tables


def _rows(table: Path, path: Path) -> Iterator[_Row]:
    columns = _columns(table)
    key = "file_name" if "file_name" in columns else "key"
    folder = table.parent if key == "file_name" else table.with_suffix("")
    where = PurePosixPath(folder.relative_to(path) if folder.is_relative_to(path) else "")
    status = columns.get("status", repeat("success"))
    text = next(name for name in CAPTIONS if name in columns)
    for name, caption, outcome in zip(columns[key], columns[text], status, strict=False):
        file = where / str(name)
        stem = file.with_suffix("") if key == "file_name" else file
        yield _Row(stem.as_posix(), caption or "", outcome == "success")


def load_pyarrow(table: Path) -> ModuleType:
    """Return pyarrow, for a table that is about to be read.

    Raises:
        DMPError: it is not installed.

    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DMPError(f"{table} needs pyarrow to be read: pip install pyarrow") from error
    return pyarrow


def _columns(table: Path) -> dict[str, list]:
    arrow = load_pyarrow(table)
    parquet = arrow.parquet
    try:
        names = parquet.read_schema(table).names
        wanted = [name for name in ("file_name", "key", "status", *CAPTIONS) if name in names]
        columns = parquet.read_table(table, columns=wanted).to_pydict()
    except (arrow.ArrowException, OSError) as error:
        what = f"cannot be read as parquet ({error})"
        raise DamagedFileError(table, what, "copy or download it again") from error
    if not {"file_name", "key"} & set(wanted) or not set(CAPTIONS) & set(wanted):
        raise DMPError(
            f"{table} has the columns {', '.join(names)}; needed are 'file_name' or 'key', and one "
            f"of {', '.join(CAPTIONS)} (a table of links alone has to be downloaded by img2dataset "
            "first)"
        )
    return columns
