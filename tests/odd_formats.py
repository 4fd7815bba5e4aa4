"""Datasets as people have them, for the tests: what tools leave in them, and names nobody planned.

Each writer stands beside one of :mod:`real_formats`, whose images it takes.
"""

import json
import os
from pathlib import Path

import real_formats as real


def png(number: int) -> bytes:
    """Return image ``number`` as a PNG."""
    return real.encode(real.make_image(number))


def write_files(folder: Path, files: dict[str, bytes | str | list | dict]) -> Path:
    """Write files by name; lists and dictionaries as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(content))
    return folder


def as_bytes(content: bytes | str | list | dict) -> bytes:
    """Return what a file of this content holds."""
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def write_shard(folder: Path, members: dict[str, object], name: str = "0.tar") -> Path:
    """Write one tar with members by name, each as for :func:`write_files`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(real.tar_bytes({n: as_bytes(content) for n, content in members.items()}))
    return folder


LEFT_OVER = (
    ".ipynb_checkpoints/00000-checkpoint.png",
    "@eaDir/00000.png",
    ".thumbnails/normal/1.png",
    "__MACOSX/._00000.png",
    "lost+found/1.png",
)


def leave_things(folder: Path) -> int:
    """Put beside data what tools leave there; return the number of files outside of folders."""
    write_files(folder, {name: png(90) for name in LEFT_OVER})
    loose = {"._00000.png": b"a Mac's", "Thumbs.db": b"x", ".DS_Store": b"x"}
    write_files(folder, {**loose, "desktop.ini": b"x"})
    (folder / "up").symlink_to("..")
    (folder / "here").symlink_to(".")
    return len(loose) + 1


def write_coco(folder: Path, images: list[dict], annotations: list[dict], files: list[str]) -> Path:
    """Write images below ``train2014/``, and ``captions.json`` beside it."""
    write_files(folder, {f"train2014/{name}": png(n) for n, name in enumerate(files)})
    write_files(folder, {"captions.json": {"images": images, "annotations": annotations}})
    return folder


def write_table(path: Path, numbers: list[int], texts: list, label: str = "text") -> Path:
    """Write a table with images by number and a column of anything beside them."""
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": png(number), "path": None} for number in numbers], kind)
    parquet.write_table(pa.table({"image": images, label: pa.array(texts)}), path)
    return path


def latin1(folder: Path, number: int) -> Path:
    """Write an image under a name that is not UTF-8."""
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    path.write_bytes(png(number))
    return path
