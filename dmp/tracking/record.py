"""What MLflow is told about one folder, before MLflow comes into play."""

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dmp.errors import DMPError

# Limits of MLflow's tracking API: a longer name is refused, a longer value silently cut.
MAX_NAME_LENGTH = 250
MAX_PARAM_LENGTH = 6000

_NAME = re.compile(r"[\w./: -]+")

# Part of every digest: raise it when the same files should look different in MLflow.
_MAPPING_VERSION = "2"


class Point(NamedTuple):
    """One value of a metric's history; ``time_ms`` is milliseconds since the Unix epoch."""

    name: str
    value: float
    time_ms: int
    step: int


class DatasetUse(NamedTuple):
    """The data that a run was trained on, as MLflow lists it.

    Attributes:
        name: the dataset's name.
        digest: see :func:`dmp.tracking.folders.run_record`.
        source: JSON of the configuration that leads to the images.
        profile: JSON of what is known of them.

    """

    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True)
class Record:
    """One folder as one MLflow run.

    Attributes:
        name: unique within an experiment; the run's name.
        digest: of the content of the files that the record was made from, and of the tags.
        tags: MLflow tags.
        params: MLflow parameters.
        read_points: reads the metric histories. A function, since they are the bulk of a folder
            and most folders of a repeated ingest are unchanged.
        artifacts: path among the run's artifacts to the file to keep there.
        made: path among the artifacts to a function that makes its content; None leaves it out.
        dataset: what it was trained on.
        start_ms: milliseconds since the Unix epoch.
        end_ms: milliseconds since the Unix epoch.

    """

    name: str
    digest: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    read_points: Callable[[], list[Point]]
    artifacts: Mapping[str, Path]
    made: Mapping[str, Callable[[], bytes | None]]
    dataset: DatasetUse | None
    start_ms: int
    end_ms: int


def digest_files(paths: Sequence[Path], *texts: str) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of files' names and contents, and of texts.

    Raises:
        DMPError: a file cannot be read.

    """
    digest = hashlib.sha256(_MAPPING_VERSION.encode())
    for path in paths:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DMPError(f"cannot read {path}: {error.strerror or error}") from error
        digest.update(f"\n{path.name} {content}".encode())
    for text in texts:
        digest.update(f"\n{len(text)} {text}".encode())
    return digest.hexdigest()


def flatten(config: dict[str, Any], path: Path) -> dict[str, str]:
    """Return a nested configuration as MLflow parameters with dotted keys.

    Strings stay as they are; everything else is written as in JSON, lists too. A value longer than
    MLflow takes is cut, and says how long it was and that ``config.json`` has all of it.

    Args:
        config: any JSON object.
        path: where it was read from, for the error.

    Raises:
        DMPError: MLflow cannot take a key.

    """
    flat: dict[str, str] = {}

    def visit(value: Any, prefix: str) -> None:
        if isinstance(value, dict) and (value or not prefix):
            for name, child in value.items():
                visit(child, f"{prefix}.{name}" if prefix else name)
        else:
            check_name(prefix, str(path))
            flat[prefix] = _cut(value if isinstance(value, str) else json.dumps(value))

    visit(config, "")
    return flat


def _cut(text: str) -> str:
    if len(text) <= MAX_PARAM_LENGTH:
        return text
    note = f"... (cut from {len(text)} characters; config.json has all)"
    return text[: MAX_PARAM_LENGTH - len(note)] + note


def check_name(name: str, where: str) -> None:
    """Check that MLflow takes ``name`` for a metric or a parameter.

    Raises:
        DMPError: it does not.

    """
    # MLflow also refuses what would not be a path of its own, such as "a//b" or "../a".
    is_path = posixpath.normpath(name) == name and not name.startswith(("/", "..")) and name != "."
    if not _NAME.fullmatch(name) or not is_path or len(name) > MAX_NAME_LENGTH:
        raise DMPError(
            f"{where}: MLflow cannot take the name '{name}'; accepted are up to {MAX_NAME_LENGTH} "
            f"letters, digits, spaces and any of _ - . : / that form a relative path"
        )
