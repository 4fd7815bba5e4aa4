"""Damages files in every way that disks, copies and hands do, and looks at what their readers say.

A reader either refuses a damaged file with a DMPError, or what it returns is what it returned of
the whole file. Nothing else may happen: no other exception, and no other value.
"""

import dataclasses
import functools
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel

from dmp.errors import DMPError

# What stands in text in place of something else.
_WORDS = (
    *(b"", b"nan", b"NaN", b"1e999", b"-1", b"1" + b"0" * 30, b"null", b"[]", b"{}", b"true"),
    *(b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"[" * 2000, b"0.5"),
)
_WHOLE = (b"", b"{}", b"[]", b"null", b"\0" * 64, b"\n", b"x", b"a,b\n1\n")


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: for the reader of a report.
        make: writes the files of a folder, and returns those that are damaged in turn.
        read: returns what the program reads of it; called with the damaged file.
        exact: whether another value is a failure too: of a file without a seal nobody can say.
        changes: whether the reader changes files itself.
    """

    name: str
    make: Callable[[Path], Path | list[Path]]
    read: Callable[[Path], Any]
    exact: bool = True
    changes: bool = False


class Tally(NamedTuple):
    """How many damaged files were refused, and how many were read as if they were whole."""

    refused: int
    read: int


def fuzz(kind: Kind, folder: Path, count: int, seed: int = 0) -> Tally:
    """Damage a file so many times.

    Raises:
        AssertionError: what a reader said to one of them is neither.
    """
    folder.mkdir(parents=True)
    made = kind.make(folder)
    paths = made if isinstance(made, list) else [made]
    expected = plain(kind.read(paths[0]))
    files = {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    rng, refused = random.Random(f"{kind.name} {seed}"), 0
    for number in range(count):
        path = paths[number % len(paths)]
        how, content = mutate(rng, files[path])
        path.write_bytes(content)
        where = f"{kind.name}, {path.name}, {number}, {how}"
        try:
            found = kind.read(path)
        except DMPError as error:
            refused += 1
            if "\n" in str(error):
                raise AssertionError(f"{where}: more than one line: {error}") from error
        except BaseException as error:
            raise AssertionError(f"{where}: {error!r}") from error
        else:
            assert not kind.exact or plain(found) == expected, f"{where}: read as {found!r:.500}"
        if kind.changes:
            _restore(folder, files)
        else:
            path.write_bytes(files[path])
    return Tally(refused, count - refused)


def _restore(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Put everything back that a reader has changed or set aside."""
    for path in folder.rglob("*"):
        if path not in files and path.is_file():
            path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


def mutate(rng: random.Random, whole: bytes) -> tuple[str, bytes]:
    """Return how a content was damaged, and what became of it, which is never the same."""
    while True:
        how = rng.choice(_MUTATIONS)
        content = how(rng, bytearray(whole))
        if content != whole:
            return how.__name__, bytes(content)


def flip(rng: random.Random, content: bytearray) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def flip_near_an_end(rng: random.Random, content: bytearray) -> bytes:
    """Headers and directories are there."""
    at = rng.randrange(min(600, len(content)))
    content[at if rng.random() < 0.6 else -at - 1] ^= 1 << rng.randrange(8)
    return content


def truncate(rng: random.Random, content: bytearray) -> bytes:
    return content[: rng.randrange(len(content))]


def zero(rng: random.Random, content: bytearray) -> bytes:
    start, length = rng.randrange(len(content)), rng.choice((1, 16, 512, 4096))
    end = min(len(content), start + length)
    content[start:end] = bytes(end - start)
    return content


def swap(rng: random.Random, content: bytearray) -> bytes:
    length = rng.choice((1, 8, 64, 512))
    a, b = (rng.randrange(max(1, len(content) - length)) for _ in range(2))
    content[a : a + length], content[b : b + length] = (
        content[b : b + length],
        content[a : a + length],
    )
    return content


def insert(rng: random.Random, content: bytearray) -> bytes:
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.randbytes(rng.choice((1, 1, 2, 8, 512)))
    return content


def delete(rng: random.Random, content: bytearray) -> bytes:
    at = rng.randrange(len(content))
    del content[at : at + rng.choice((1, 1, 2, 8, 512))]
    return content


def repeat_a_line(rng: random.Random, content: bytearray) -> bytes:
    lines = content.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    lines.insert(at, lines[at])
    return b"".join(lines)


def lose_lines(rng: random.Random, content: bytearray) -> bytes:
    lines = content.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    del lines[at : at + rng.choice((1, len(lines)))]
    return b"".join(lines)


def swap_lines(rng: random.Random, content: bytearray) -> bytes:
    lines = content.splitlines(keepends=True)
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def change_a_letter(rng: random.Random, content: bytearray) -> bytes:
    """A digit for a digit, a letter for a letter: what no parser can find fault with."""
    at = rng.randrange(len(content))
    for place in range(at, min(len(content), at + 400)):
        letter = chr(content[place])
        if letter.isascii() and letter.isalnum():
            others = "0123456789" if letter.isdigit() else "abcdefghij"
            content[place] = ord(rng.choice(others))
            break
    return content


def write_a_word(rng: random.Random, content: bytearray) -> bytes:
    at = rng.randrange(len(content))
    content[at : at + rng.choice((0, 1, 3, 8, 10**6))] = rng.choice(_WORDS)
    return content


def write_it_anew(rng: random.Random, content: bytearray) -> bytes:
    return rng.choice(_WHOLE)


_MUTATIONS = (
    *(flip, flip_near_an_end, truncate, zero, swap, insert, delete, repeat_a_line, lose_lines),
    *(swap_lines, change_a_letter, write_a_word, write_it_anew),
)


@functools.singledispatch
def plain(value: Any) -> Any:
    """Return a value as something that can be compared to the bit."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value):
        return plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    return repr(value)


@plain.register
def _(value: torch.Tensor) -> Any:
    raw = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return str(value.dtype), tuple(value.shape), raw


@plain.register
def _(value: np.ndarray) -> Any:
    return str(value.dtype), value.shape, value.tobytes()


@plain.register
def _(value: pd.DataFrame) -> Any:
    return [list(value.columns), *map(repr, value.itertuples())]


@plain.register
def _(value: pd.Series) -> Any:
    return repr(value.to_dict())


@plain.register
def _(value: BaseModel) -> Any:
    return plain(value.model_dump())


def memory() -> str | None:
    """Return a folder in memory, where there is one: of a file nothing is wanted but its bytes."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
