"""Tables with the images in them, as datasets lie on the Hugging Face hub; nothing is unpacked."""

import contextlib
import json
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dmp.config import SourceConfig
from dmp.data.formats import dataset_format
from dmp.data.sources.base import Source
from dmp.data.sources.captioned import captions_in
from dmp.data.sources.findings import AGAIN, DamagedFileError, Finding, alike, note
from dmp.data.sources.listing import list_named
from dmp.data.sources.splits import check_files
from dmp.errors import DMPError, one_line

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

LABEL = "label"
_MOST_CLASSES = 2**31


class _Group(NamedTuple):
    """Rows that are read at once: of which table, their number there, the first row, how many."""

    table: Path
    number: int
    first_row: int
    rows: int
    column: str


@dataset_format("parquet-images")
class ParquetImages(Source):
    """Tables with a column of images, ``struct<bytes, path>``, and beside it labels or captions.

    Labels are in the integer column ``label``, and are read if the dataset has classes; captions
    are in the column that the configuration names, a text or a list of texts. Images are in the
    order of the tables' names and of their rows. Opening reads all but the images; of these, each
    thread holds one row group.

    Raises:
        DMPError: there is no table, or a column is missing.
    """

    expected = "a .parquet table with the images in it, or a folder of such tables of one split"
    origin = (
        "ImageNet on the Hugging Face hub: https://huggingface.co/datasets/ILSVRC/imagenet-1k, "
        "where the terms of the (gated) dataset have to be accepted"
    )

    def __init__(self, config: SourceConfig, path: Path) -> None:
        import numpy as np

        super().__init__(config, path)
        self.captioned = config.captions is not None
        self._groups: list[_Group] = []
        self._labels: list[int] = []
        self._captions: list[list[str]] = []
        for table in _tables(path, self.findings):
            try:
                self._add(table)
            except DamagedFileError as error:
                self.findings.append(error.finding(table.relative_to(self.base).as_posix()))
        # Where each group begins, as the number of an image.
        self._start = np.cumsum([0, *(group.rows for group in self._groups)])
        self._held = threading.local()
        if config.classes > 1:
            self._check_labels()

    @classmethod
    def captions_per_image(cls, config: SourceConfig) -> int:
        """Return 1 if a column of captions is named."""
        return int(config.captions is not None)

    def _add(self, path: Path) -> None:
        """Read all of a table but its images."""
        labels, captions = [], []
        with _opened(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            image = _image_column(schema, path)
            if self.config.classes > 1:
                _check_column(schema, LABEL, "integers", path)
                values = file.read([LABEL])[LABEL].to_pylist()
                # What is no class is none, however large: it need not fit into 64 bits.
                labels = [-1 if v is None or v > _MOST_CLASSES else v for v in values]
            if self.config.captions is not None:
                _check_column(schema, self.config.captions, "texts", path)
                values = file.read([self.config.captions])[self.config.captions].to_pylist()
                captions = [captions_in(value, str(path)) for value in values]
        if not metadata.num_rows:
            self.findings += note([path.name], "tables", "hold no rows")
        first = 0
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            self._groups.append(_Group(path, number, first, rows, image))
            first += rows
        self._labels += labels
        self._captions += captions
        names = _class_names(schema)
        if self.classes and names and names != self.classes:
            problem = "names other classes than the tables before it, or in another order"
            raise DamagedFileError(path, problem, "fetch all tables of one release")
        self.classes = self.classes or names

    def _check_labels(self) -> None:
        import numpy as np

        # Of more classes than images some are empty, whose names nobody need list.
        last = min(max(self._labels, default=-1), len(self._labels))
        names = list(self.classes) or [str(n) for n in range(last + 1)]
        self.classes = names
        self.findings += alike(names)
        labels = np.array(self._labels, np.int64)
        outside = np.flatnonzero((labels < 0) | (labels >= len(names)))
        if len(outside):
            problem = f"{len(outside)} images, this one first, have a label that is not a class"
            remedy = "correct the table, or fetch a split that has labels"
            self.findings.append(Finding(self.name(int(outside[0])), "damage", problem, remedy))
        empty = sorted(set(range(len(names))) - set(self._labels))
        problem = "the class has no image"
        self.findings += [Finding(names[n], "damage", problem, AGAIN) for n in empty]

    def __len__(self) -> int:
        return int(self._start[-1])

    def _place(self, index: int) -> tuple[int, int]:
        """Return the number of an image's group, and its row there."""
        import numpy as np

        number = int(np.searchsorted(self._start, index, side="right")) - 1
        return number, index - int(self._start[number])

    def name(self, index: int) -> str:
        """Return an image's table and row: ``data/train-00000-of-00294.parquet:00000012``."""
        number, row = self._place(index)
        group = self._groups[number]
        return f"{group.table.relative_to(self.base).as_posix()}:{group.first_row + row:08d}"

    def read(self, index: int) -> bytes:
        """Return an image's bytes."""
        number, row = self._place(index)
        where = self.base / self.name(index)
        if getattr(self._held, "number", None) != number:
            # Forgotten first: two groups are never in memory at once.
            self._held.number = self._held.images = None
            group = self._groups[number]
            with _opened(group.table, where) as file:
                images = file.read_row_group(group.number, columns=[group.column])
            self._held.number, self._held.images = number, images[group.column]
        image = self._held.images[row].as_py() or {}
        if image.get("bytes") is None:
            elsewhere = f", only the path {image['path']}" if image.get("path") else ""
            problem = f"the row holds no image{elsewhere}"
            remedy = "fetch a table with the images in it, or remove the row"
            raise DamagedFileError(where, problem, remedy)
        return image["bytes"]

    def label(self, index: int) -> int:
        """Return an image's label as the table has it; -1 if there is none."""
        return self._labels[index] if self._labels else 0

    def captions(self, index: int) -> Sequence[str]:
        """Return an image's captions."""
        return self._captions[index] if self.captioned else ()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_held"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _held=threading.local())


@contextlib.contextmanager
def _opened(path: Path, where: Path | None = None) -> "Generator[ParquetFile]":
    """Open a table, of which ``where`` is read: damage found meanwhile is named by it."""
    # Here, since it takes a fifth of a second, and every job that reads a plan has the formats.
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            yield file
    except UnicodeError as error:
        problem = f"has a name, or a text in it, that is not UTF-8 ({error})"
        raise DamagedFileError(where or path, problem, "rename it, or write it again") from error
    except (pyarrow.ArrowException, OSError) as error:
        problem = f"cannot be read as parquet ({one_line(error)})"
        raise DamagedFileError(where or path, problem, f"{AGAIN}: {path.name}") from error


def _tables(path: Path, findings: list[Finding]) -> list[Path]:
    """Return the tables at ``path``, in the order of their names."""
    root, tables, names = list_named(path, ".parquet", "correct 'path'", findings)
    if not tables:
        raise DMPError(f"{path} holds no .parquet")
    findings += note(sorted({*names} - {*tables}), "files", "are not .parquet")
    findings += check_files(root, tables, alone=path != root)
    return [root / name for name in tables]


def _image_column(schema: Any, path: Path) -> str:
    from pyarrow import types

    def is_bytes(struct: Any) -> bool:
        place = struct.get_field_index("bytes")  # -1 as well if there are two
        kind = struct.field(place).type if place >= 0 else None
        return kind is not None and (types.is_binary(kind) or types.is_large_binary(kind))

    structs = (field for field in schema if types.is_struct(field.type))
    found = [field.name for field in structs if is_bytes(field.type)]
    if len(found) != 1:
        raise DMPError(
            f"{path} has the columns {', '.join(schema.names)}, of which {len(found)} hold images; "
            "needed is one of type struct<bytes, path>, as the library 'datasets' writes it"
        )
    return found[0]


def _check_column(schema: Any, name: str, kind: str, path: Path) -> None:
    from pyarrow import types

    if schema.names.count(name) != 1:
        raise DMPError(
            f"{path} has the columns {', '.join(schema.names)}; needed is '{name}', with {kind}"
        )
    found = schema.field(name).type
    text = found
    while hasattr(text, "value_type"):  # lists, and categories of pandas
        text = text.value_type
    is_text = types.is_string(text) or types.is_large_string(text) or types.is_string_view(text)
    if not (types.is_integer(found) if kind == "integers" else is_text):
        raise DMPError(f"{path}: column '{name}' is of type {found}; needed are {kind}")


def _class_names(schema: Any) -> list[str]:
    """Return the names that the library 'datasets' keeps with the table; empty without them."""
    try:
        notes = json.loads((schema.metadata or {})[b"huggingface"])
        names = notes["info"]["features"][LABEL]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if known else []
