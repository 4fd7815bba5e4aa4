"""Which of several files belong together: one split of one dataset, with all of its parts."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from dmp.data.sources.findings import AGAIN, Finding, note
from dmp.errors import DMPError

_SPLIT = r"(train(ing)?|test(ing)?|val|valid(ation)?|dev|eval(uation)?|holdout|trainval)([0-9]{4})?"
_WORD = re.compile(_SPLIT, re.IGNORECASE)
_THINGS = r"(images?|imgs?|data|set|split)"
_FOLDER = re.compile(rf"({_THINGS}[-_ ])?(?P<split>{_SPLIT})([-_ ]?{_THINGS})?", re.IGNORECASE)
# train-00000-of-00002, and what the library 'datasets' adds to it, a hash.
_PART = re.compile(
    r"(?P<series>.*?)[-_.]?(?P<part>[0-9]+)[-_]of[-_](?P<of>[0-9]+)([-_.][0-9a-f]{6,})?"
)
_NUMBERED = re.compile(r"(?P<series>.*?)(?P<between>[-_. ]?)(?P<number>[0-9]+)")
_YEAR = re.compile(r"(19|20)[0-9]{2}")


def check_files(root: Path, names: Sequence[str], alone: bool = False) -> list[Finding]:
    """Refuse tables or archives of several splits; return findings about parts that are missing.

    A split's name is a word such as ``train`` or ``val`` in the name of a file or of a folder above
    it, with whatever stands around it but the numbers: ``data/train-00000-of-00002-5a1.parquet``,
    ``default/train/0000.parquet``, ``partial-train/0000.parquet``, ``cc3m-train-0000.tar``. Names
    with ``-of-`` are counted whether or not they say of which split.

    Args:
        names: all files that would be read, relative to it.
        alone: whether a single file is asked for, which may be one of several parts.

    Raises:
        DMPError: they are of several splits.
    """
    parts: dict[tuple[str, int], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    splits: set[str] = set()
    others: list[str] = []
    for name in names:
        path = PurePosixPath(name)
        part = _PART.fullmatch(path.stem)
        split = str(path.parent / (part["series"] if part else _series(path.stem)))
        if part is not None:
            parts[split, int(part["of"])][int(part["part"])].append(name)
        if part is not None or any(map(_WORD.fullmatch, re.split(r"[-_. /]", split))):
            splits.add(split)
        else:
            others.append(name)
    _refuse_several(root, splits)
    found = []
    for (split, of), there in sorted(parts.items()):
        found += _incomplete(split, of, there, alone)
    if splits:
        found += note(others, "files", f"do not say that they are of {min(splits)}", "read as well")
    return found


def check_folders(root: Path, names: Iterable[str]) -> None:
    """Refuse images in folders of several splits, such as ``train`` and ``val``.

    Raises:
        DMPError: they are.
    """
    folders = {part for name in names for part in name.split("/")[:-1]}
    found = (_FOLDER.fullmatch(folder) for folder in folders)
    _refuse_several(root, {match["split"].lower() for match in found if match})


def _series(stem: str) -> str:
    """Return a name without the number at its end, which a year is not."""
    match = _NUMBERED.fullmatch(stem)
    if match is None:
        return stem
    is_year = match["series"] and not match["between"] and _YEAR.fullmatch(match["number"])
    return stem if is_year else match["series"]


def _refuse_several(root: Path, splits: set[str]) -> None:
    if len(splits) > 1:
        raise DMPError(
            f"{root} holds several splits, {', '.join(sorted(splits))}: move what belongs to one "
            "of them to a folder of its own, and let 'path' be that folder"
        )


def _incomplete(split: str, of: int, there: dict[int, list[str]], alone: bool) -> Iterable[Finding]:
    if alone:
        what = f"is one of {of} files; the others are not asked for"
        yield from note(min(there.values()) if of > 1 else [], "files", what, "read by itself")
        return
    first = int(of in there and 0 not in there)  # some count from 1
    expected = range(first, first + of)
    missing = [str(number) for number in expected if number not in there]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        problem = f"{len(missing)} of {of} files missing: number {listed}"
        yield Finding(split, "damage", problem, AGAIN)
    for number, names in there.items():
        if len(names) > 1 or number not in expected:
            problem = f"number {number} of {of} is there more than once: {', '.join(names)}"
            if number not in expected:
                problem = f"there is no number {number} of {of}"
            yield Finding(names[0], "damage", problem, "keep the files of one download")
