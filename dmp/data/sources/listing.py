"""What lies below a folder: each file once, without what other tools leave beside data."""

import os
from pathlib import Path
from typing import Literal

from dmp.data.sources.findings import DamagedFileError, Finding, note

# In lower case: of archives made on a Mac, of file servers, of file systems, and of Windows.
LEFT_BY_TOOLS = frozenset(
    {"__macosx", "__pycache__", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"}
    | {"lost+found", "$recycle.bin", "system volume information"}
    | {"desktop.ini", "ehthumbs.db", "thumbs.db"}
)


def is_left_over(name: str) -> bool:
    """Return whether a file, or a folder that it lies in, is hidden or left by another tool."""
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.lower() in LEFT_BY_TOOLS
        for part in name.split("/")
    )


def list_folder(root: Path, findings: list[Finding]) -> tuple[list[str], list[str]]:
    """Return all files below a folder, and the folders at its top, each sorted.

    Links are followed, since class folders on clusters often lie on another disk, but no folder is
    entered twice, nor one that ``root`` lies in: a link to a parent leads nowhere. Folders that are
    hidden or left by other tools are not entered.

    Args:
        findings: what is left out is added here, and folders that cannot be listed.

    Raises:
        DamagedFileError: ``root`` itself cannot be listed.
    """
    names: list[str] = []
    top: list[str] = []
    left: list[str] = []
    again: list[str] = []
    special: list[str] = []
    folders, links = [""], []
    seen: set[tuple[int, int]] = set()
    while folders or links:
        # Links come last: what is reached in two ways has the name that is no link's.
        folder = folders.pop() if folders else links.pop(0)
        try:
            found = _identity(root / folder)
            if found in seen:
                again.append(folder)
                continue
            # Not before it has been entered, which it is as the root.
            seen |= {found} if folder else {found, *map(_identity, root.resolve().parents)}
            if folder and "/" not in folder:
                top.append(folder)
            with os.scandir(root / folder) as opened:
                entries = sorted(opened, key=lambda entry: entry.name)
        except OSError as error:
            problem = f"the folder cannot be listed ({error.strerror})"
            remedy = "make it readable, or move it away"
            if not folder:
                raise DamagedFileError(root, problem, remedy) from error
            findings.append(Finding(folder, "damage", problem, remedy))
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            kind = _kind(entry)
            if kind == "folder":
                is_left = is_left_over(entry.name)
                (left if is_left else links if entry.is_symlink() else folders).append(name)
            else:
                (names if kind == "file" else special).append(name)
    findings += note(sorted(left), "folders", "are hidden or left by another tool")
    findings += note(sorted(again), "links", "lead to folders that are read already")
    findings += note(sorted(special), "entries", "are neither files nor folders")
    return sorted(names), sorted(top)


def list_named(
    path: Path, suffix: str, mend: str, findings: list[Finding]
) -> tuple[Path, list[str], list[str]]:
    """Return a root, the names below it that have a suffix, and all names.

    Args:
        path: a folder, or one such file, whose root is then its folder.
        suffix: such as ``.tar``.
        mend: what to do if it is a file of another name.
        findings: get what was left out.

    Raises:
        DamagedFileError: it is a file of another name.
    """
    if path.is_dir():
        root, (names, _) = path, list_folder(path, findings)
    elif path.suffix == suffix:
        root, names = path.parent, [path.name]
    else:
        raise DamagedFileError(path, f"is not a {suffix}", mend)
    return root, [n for n in names if n.endswith(suffix) and not is_left_over(n)], names


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _kind(entry: "os.DirEntry[str]") -> Literal["folder", "file", "special"]:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:  # such as a link to itself
        return "file"
    # A link that leads nowhere is a file that cannot be read, and is reported as such.
    return "file" if not Path(entry.path).exists() else "special"
