"""Images in folders beside tables of their names and captions, as img2dataset writes for LAION."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path, PurePosixPath

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.captioned import LAION, captions_path, clean, orphaned
from dmp.data.sources.files import Files, FolderFiles
from dmp.data.sources.filesource import FileSource
from dmp.data.sources.findings import Finding
from dmp.data.sources.tables import opened
from dmp.errors import DMPError

CAPTIONS = ("caption", "text", "TEXT")


@dataset_format("parquet")
class ParquetCaptions(FileSource):
    """A folder of images with tables beside them.

    A table names images by ``file_name``, relative to itself, or by ``key``: the table
    ``00000.parquet`` then tells of ``00000/<key>.jpg``. Captions are in ``caption``, ``text`` or
    ``TEXT``. Rows whose ``status`` says that their download failed are left out.

    Raises:
        DMPError: there is no table, it cannot be read, or it has other columns.

    """

    expected = "a folder of images with .parquet tables of their names and captions"
    origin = f"{LAION} --output_format files"
    companions = (".parquet", ".txt", ".json")
    captioned = True

    def __init__(self, config: SourceConfig, path: Path) -> None:
        super().__init__(config, path)
        captions: dict[str, str] = {}
        failed = 0
        for table in _tables(config, path):
            for stem, caption, status in _rows(table, path):
                if status == "success":
                    captions[stem] = caption
                else:
                    failed += 1
        stems = [self.name(index).rpartition(".")[0] for index in range(len(self))]
        self._captions = [captions.get(stem, "") for stem in stems]
        self.findings += orphaned(sorted(set(captions) - set(stems)))
        if failed:
            problem = f"{failed} rows of the tables say that their image could not be downloaded"
            self.findings.append(Finding(".", "note", problem, "nothing; they are left out"))

    @classmethod
    def captions_per_image(cls, config: SourceConfig) -> int:
        """Return 1: what was found on the web has one."""
        return 1

    def list_files(self, path: Path) -> Files:
        """Return the files below the folder."""
        if not path.is_dir():
            raise DMPError(f"{path} is not a folder; 'path' has to be the folder of the images")
        return FolderFiles(path)

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


def _rows(table: Path, path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield of each row the image's name without its suffix, its caption and its status."""
    with opened(table) as file:
        names = file.schema_arrow.names
        key = next((name for name in ("file_name", "key") if name in names), None)
        text = next((name for name in CAPTIONS if name in names), None)
        if key is None or text is None:
            raise DMPError(
                f"{table} has the columns {', '.join(names)}; needed are 'file_name' or 'key', and "
                f"one of {', '.join(CAPTIONS)} (a table of links alone has to be downloaded by "
                "img2dataset first)"
            )
        wanted = [key, text, *({"status"} & set(names))]
        columns = file.read(wanted).to_pydict()
    folder = table.parent if key == "file_name" else table.with_suffix("")
    where = PurePosixPath(folder.relative_to(path) if folder.is_relative_to(path) else "")
    statuses = columns.get("status", repeat("success"))
    for name, caption, status in zip(columns[key], columns[text], statuses, strict=False):
        file = where / str(name)
        stem = file.with_suffix("") if key == "file_name" else file
        yield stem.as_posix(), caption or "", status
