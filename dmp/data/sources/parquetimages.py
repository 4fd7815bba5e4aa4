"""Tables with the images in them, as datasets lie on the Hugging Face hub; nothing is unpacked."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dmp.config import SourceConfig
from dmp.data.sources.base import Source
from dmp.data.sources.captioned import clean
from dmp.data.sources.files import AGAIN
from dmp.data.sources.findings import DamagedFileError, Finding
from dmp.data.sources.parquet import load_pyarrow
from dmp.errors import DMPError

LABEL = "label"
_PART = re.compile(r"(?P<split>.*)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})[.]parquet")


class _Table(NamedTuple):
    path: Path
    group_sizes: list[int]  # rows of each row group
    image: str  # the column of the images
    labels: np.ndarray  # (rows,) int64, -1 where there is none; (0,) if they are not asked for
    class_names: list[str]
    captions: list[list[str]]  # of each row; none if they are not asked for


class ParquetImages(Source):
    """Tables with a column of images, ``struct<bytes, path>``, and beside it labels or captions.

    Labels are in the integer column ``label``, and are read if the dataset has classes; captions
    are in the column that the configuration names, a text or a list of texts. Images are in the
    order of the tables' names and of their rows. Opening reads all but the images; of these, each
    thread holds one row group.

    Raises:
        DMPError: there is no table, or a column is missing.

    """

    def __init__(self, config: SourceConfig, path: Path) -> None:
        self.config, self.base = config, path if path.is_dir() else path.parent
        self.captioned = config.captions is not None
        files = _files(path)
        self.findings = list(_missing_parts(files, self.base))
        self._tables: list[_Table] = []
        for file in files:
            try:
                self._tables.append(_open(file, config))
            except DamagedFileError as error:
                self.findings.append(error.finding(file.relative_to(self.base).as_posix()))
        groups = [
            (number, group, size)
            for number, table in enumerate(self._tables)
            for group, size in enumerate(table.group_sizes)
        ]
        # Row groups in the order of images: of which table, which of its groups, and where each
        # begins, as the number of an image.
        self._group = np.array([(number, group) for number, group, _ in groups]).reshape(-1, 2)
        self._start = np.cumsum([0, *(size for *_, size in groups)])
        self._first = np.cumsum([0, *(sum(table.group_sizes) for table in self._tables)])
        self._read = threading.local()
        self._set_classes()

    def _set_classes(self) -> None:
        if self.config.classes == 1 or not self._tables:
            return
        self._labels = np.concatenate([table.labels for table in self._tables])
        names = next((t.class_names for t in self._tables if t.class_names), None)
        self.classes = names or [str(n) for n in range(int(self._labels.max(initial=-1)) + 1)]
        outside = np.flatnonzero((self._labels < 0) | (self._labels >= len(self.classes)))
        if len(outside):
            problem = f"the label of {len(outside)} images, of which this is the first, is no class"
            remedy = "correct the table, or fetch a split that has labels"
            self.findings.append(Finding(self.name(int(outside[0])), "damage", problem, remedy))
        counts = np.bincount(np.delete(self._labels, outside), minlength=len(self.classes))
        self.findings += [
            Finding(self.classes[n], "damage", "the class has no image", AGAIN)
            for n in np.flatnonzero(counts == 0)
        ]

    def __len__(self) -> int:
        return int(self._start[-1])

    def _place(self, index: int) -> tuple[_Table, int]:
        """Return an image's table, and its row there."""
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._tables[number], index - int(self._first[number])

    def name(self, index: int) -> str:
        """Return an image's table and row: ``data/train-00000-of-00294.parquet:00000012``."""
        table, row = self._place(index)
        return f"{table.path.relative_to(self.base).as_posix()}:{row:08d}"

    def read(self, index: int) -> bytes:
        """Return an image's bytes."""
        position = int(np.searchsorted(self._start, index, side="right")) - 1
        if getattr(self._read, "position", None) != position:
            # Forgotten first, so that two groups are never in memory at once.
            self._read.position = self._read.images = None
            self._read.images = self._read_group(position, index)
            self._read.position = position
        image = self._read.images[index - int(self._start[position])].as_py()
        if image is None or image["bytes"] is None:
            elsewhere = f", only the path {image['path']}" if image and image.get("path") else ""
            raise DamagedFileError(
                self.base / self.name(index),
                f"the row holds no image{elsewhere}",
                "fetch a table with the images in it, or remove the row",
            )
        return image["bytes"]

    def _read_group(self, position: int, index: int) -> Any:
        number, group = map(int, self._group[position])
        table = self._tables[number]
        arrow = load_pyarrow(table.path)
        try:
            with arrow.parquet.ParquetFile(table.path) as file:
                return file.read_row_group(group, columns=[table.image])[table.image]
        except (arrow.ArrowException, OSError) as error:
            where, why = self.base / self.name(index), f"cannot be read ({_one_line(error)})"
            raise DamagedFileError(where, why, f"{AGAIN}: {table.path.name}") from error

    def label(self, index: int) -> int:
        """Return an image's label as the table has it; -1 if there is none."""
        return int(self._labels[index]) if self.classes else 0

    def captions(self, index: int) -> Sequence[str]:
        """Return an image's captions."""
        table, row = self._place(index)
        return table.captions[row] if self.captioned else ()

    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key != "_read"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state | {"_read": threading.local()}


def _files(path: Path) -> list[Path]:
    """Return the tables at ``path``, in the order of their names.

    Raises:
        DMPError: there are none, or they are several splits.

    """
    if not path.is_dir():
        if path.suffix != ".parquet":
            raise DamagedFileError(path, "is not a .parquet", "correct 'path'")
        return [path]
    files = sorted(
        (file for file in path.rglob("*.parquet") if file.is_file() and not _hidden(file, path)),
        key=lambda file: file.relative_to(path).as_posix(),
    )
    if not files:
        raise DMPError(f"{path} holds no .parquet")
    splits = {_PART.fullmatch(file.relative_to(path).as_posix()) for file in files} - {None}
    names = sorted({match["split"] for match in splits})
    if len(names) > 1:
        raise DMPError(
            f"{path} holds several splits, {', '.join(names)}: move the tables of one of them to a "
            "folder of their own, and let 'path' be that folder"
        )
    return files


def _hidden(file: Path, folder: Path) -> bool:
    # Clients of the hub keep notes in .cache.
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _missing_parts(files: Sequence[Path], base: Path) -> Iterator[Finding]:
    """Yield the tables that the names of the others say there are."""
    names = {file.relative_to(base).as_posix() for file in files}
    for match in {m["split"]: m for m in map(_PART.fullmatch, sorted(names)) if m}.values():
        for number in range(int(match["count"])):
            name = f"{match['split']}-{number:05d}-of-{match['count']}.parquet"
            if name not in names:
                yield Finding(name, "damage", "the table is missing", AGAIN)


def _open(path: Path, config: SourceConfig) -> _Table:
    """Read all of a table but its images.

    Raises:
        DamagedFileError: it cannot be read.
        DMPError: a column is missing.

    """
    arrow = load_pyarrow(path)
    try:
        with arrow.parquet.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
            image = _image_column(arrow, schema, path)
            labels, captions = np.empty(0, np.int64), []
            if config.classes > 1:
                _check_labels(arrow, schema, path)
                column = file.read([LABEL])[LABEL].cast(arrow.int64())
                labels = column.fill_null(-1).to_numpy()
            if config.captions is not None:
                _check_captions(arrow, schema, config.captions, path)
                captions = _texts(file.read([config.captions])[config.captions].to_pylist())
    except (arrow.ArrowException, OSError) as error:
        raise DamagedFileError(
            path, f"cannot be read as parquet ({_one_line(error)})", AGAIN
        ) from error
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return _Table(path, sizes, image, labels, _class_names(schema), captions)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _image_column(arrow: Any, schema: Any, path: Path) -> str:
    found = [
        field.name
        for field in schema
        if arrow.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    if len(found) != 1:
        raise DMPError(
            f"{path} has the columns {', '.join(schema.names)}, of which {len(found)} hold images; "
            "needed is one of type struct<bytes, path>, as the library 'datasets' writes it"
        )
    return found[0]


def _check_labels(arrow: Any, schema: Any, path: Path) -> None:
    _check_column(schema, LABEL, "the labels", path)
    kind = schema.field(LABEL).type
    if not arrow.types.is_integer(kind):
        raise DMPError(f"{path}: column '{LABEL}' is of type {kind}; needed are integers")


def _check_captions(arrow: Any, schema: Any, name: str, path: Path) -> None:
    _check_column(schema, name, "captions", path)
    kind = schema.field(name).type
    text = kind.value_type if arrow.types.is_list(kind) else kind
    if not (arrow.types.is_string(text) or arrow.types.is_large_string(text)):
        raise DMPError(
            f"{path}: column '{name}' is of type {kind}; needed are texts or lists of them"
        )


def _check_column(schema: Any, name: str, what: str, path: Path) -> None:
    if name not in schema.names:
        raise DMPError(
            f"{path} has the columns {', '.join(schema.names)}; needed for {what} is '{name}'"
        )


def _texts(values: list) -> list[list[str]]:
    return [clean([value] if isinstance(value, str) else value or []) for value in values]


def _class_names(schema: Any) -> list[str]:
    """Return the names that the library 'datasets' keeps with the table; empty without them."""
    try:
        notes = json.loads((schema.metadata or {})[b"huggingface"])
        return list(notes["info"]["features"][LABEL]["names"])
    except (KeyError, TypeError, ValueError):
        return []
