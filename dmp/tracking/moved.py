"""Results that were moved or copied: MLflow's SQLite store notes where artifacts are in full."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote


def follow_folder(store: Path) -> int:
    """Let a store find its artifacts where they are now: in ``mlartifacts`` beside it.

    MLflow has no relative locations, and no command that changes them. Experiments whose artifacts
    are elsewhere, or were never kept beside a store, stay as they are.

    Args:
        store: a SQLite store that nobody else is writing to.

    Returns:
        How many experiments had been moved.

    Raises:
        sqlite3.Error: the store cannot be read or written.
    """
    moved = 0
    with contextlib.closing(sqlite3.connect(store, timeout=20)) as connection, connection:
        found = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments")
        for number, name, old in found.fetchall():
            folder = store.parent.resolve() / "mlartifacts" / name
            new = folder.as_uri()
            beside = (old or "").rstrip("/").endswith(f"/mlartifacts/{quote(name)}")
            if not beside or old.rstrip("/") == new or not folder.is_dir():
                continue
            moved += 1
            old = old.rstrip("/")
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                (new, number),
            )
            connection.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, number, len(old) + 1, f"{old}/"),
            )
    return moved
