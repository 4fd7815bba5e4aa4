"""Bring an MLflow experiment up to date with folders, any number of times."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmp.errors import DMPError
from dmp.tracking.folders import run_record, tables_record
from dmp.tracking.record import Record
from dmp.tracking.store import Store, open_store

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        created: runs that MLflow did not have.
        updated: runs that were replaced, since their folder changed or the last ingest was killed.
        unchanged: runs that were left alone.

    """

    created: int
    updated: int
    unchanged: int


def ingest(
    folders: Sequence[Path], uri: str, experiment: str, artifact_root: Path | None = None
) -> IngestReport:
    """Bring an experiment up to date with folders of runs that have ended.

    Afterwards each folder has exactly one live run, whatever an earlier ingest left undone. A
    folder is left alone if its files have the digest that its run is marked with. The mark is the
    last thing written, so a run without it is an unfinished one and is replaced. Runs of other
    folders, and those that other programs logged, are not touched. A replaced run is off all lists
    but that of deleted runs, from where ``mlflow gc`` removes it for good.

    Args:
        folders: of runs and of baselines' own training.
        uri: ``sqlite:///path/mlflow.db`` or the address of a server. Of several ingests into one
            SQLite store all but one wait; a server should be fed by one at a time.
        experiment: name of the experiment: the scale.
        artifact_root: folder for artifacts; None means ``mlartifacts`` beside a SQLite store, and a
            server's own choice.

    Raises:
        DMPError: the store cannot be used; or some folders cannot be read, or hold the same run:
            raised when all others have been brought up to date.

    """
    return _update_all(folders, run_record, uri, experiment, artifact_root)


def tables(
    folder: Path, uri: str, experiment: str, artifact_root: Path | None = None
) -> IngestReport:
    """Bring the run ``tables`` up to date with a folder of rendered tables (Markdown and CSV).

    Arguments, repetition and errors are those of :func:`ingest`.
    """
    return _update_all([folder], tables_record, uri, experiment, artifact_root)


def _update_all(
    folders: Sequence[Path],
    read: Callable[[Path], Record],
    uri: str,
    experiment: str,
    artifact_root: Path | None,
) -> IngestReport:
    counts: Counter[str] = Counter()
    failures: list[DMPError] = []
    owners: dict[str, Path] = {}
    with open_store(uri, experiment, artifact_root) as store:
        live = store.live_runs()
        for folder in map(Path, folders):
            try:
                record = read(folder)
                owner = owners.setdefault(record.name, folder)
                if owner is not folder:
                    raise DMPError(f"{folder} and {owner} both hold the run {record.name}")
                counts[_update(store, record, live.get(record.name, []))] += 1
            except DMPError as error:
                failures.append(error)
    if failures:
        more = f" ({len(failures) - 1} more folders failed likewise)" if failures[1:] else ""
        raise DMPError(f"{failures[0]}{more}") from failures[0]
    return IngestReport(counts["created"], counts["updated"], counts["unchanged"])


def _update(store: Store, record: Record, live: "Sequence[Run]") -> str:
    """Leave exactly one run of a record, and return which count it belongs to."""
    complete = [run for run in live if store.digest(run) == record.digest]
    if complete:
        for run in live:
            if run is not complete[0]:
                store.delete(run)
        return "unchanged"
    store.replace(live, record)
    return "updated" if live else "created"
