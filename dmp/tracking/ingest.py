"""Bring an MLflow experiment up to date with folders, any number of times."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dmp.errors import DMPError
from dmp.tracking.live import follow, state
from dmp.tracking.parent import Parent, describe
from dmp.tracking.record import digest_files, run_name, run_record
from dmp.tracking.store import Store, open_store
from dmp.tracking.views import MAX_NOTE, shared_views

if TYPE_CHECKING:
    from mlflow.entities import Run


class FoldersError(DMPError):
    """Some folders could not be read; all others have been brought up to date."""


class IngestReport(NamedTuple):
    """What an ingest did.

    Attributes:
        created: runs that MLflow did not have.
        updated: runs that were replaced, since their folder changed or the last ingest was killed.
        unchanged: runs that were left alone.
        training: runs that have not ended; their curves are there as far as they have come.
        absent: folders that hold no run yet.
    """

    created: int
    updated: int
    unchanged: int
    training: int = 0
    absent: int = 0


def ingest(
    folders: Sequence[Path],
    uri: str,
    experiment: str,
    parent: Parent | None = None,
    tags: Callable[[Path], Mapping[str, str]] = lambda _: {},
    deadline: float = math.inf,
) -> IngestReport:
    """Bring an experiment up to date with folders of runs.

    Afterwards each folder has exactly one live run, whatever an earlier ingest left undone. A
    folder is left alone if its files have the digest that its run is marked with. The mark is the
    last thing written, so a run without it is an unfinished one and is replaced. Runs of other
    folders, and those that other programs logged, are not touched. A replaced run is off all lists
    but that of deleted runs, from where ``mlflow gc`` removes it for good. A run that is still
    training is appended to, and replaced by the whole run when it has ended.

    Args:
        folders: of runs and of baselines' own training; that some are not there yet is normal.
        uri: ``sqlite:///path/mlflow.db`` or the address of a server. Of several ingests into one
            SQLite store all but one wait; a server should be fed by one at a time.
        experiment: name of the experiment: the scale and the study.
        parent: the run of the study, which all others become children of.
        tags: returns further tags of a folder's run, which for a run that is training have to
            say which it is: see :func:`dmp.tracking.record.identity`.
        deadline: when to give up, on the clock of ``time.monotonic``. A run that is being written
            then is completed.

    Raises:
        FoldersError: some folders cannot be read, or hold the same run: raised when all others
            have been brought up to date.
        DMPError: the store cannot be used, or not in time.
    """
    counts: Counter[str] = Counter()
    failures: list[DMPError] = []
    owners: dict[str, Path] = {}
    ids: dict[str, str] = {}
    with open_store(uri, experiment) as store:
        store.tag_experiment(shared_views())
        live = store.live_runs()
        parent_id = None if parent is None else _ensure(store, parent, live.get(parent.name, []))
        for folder in map(Path, folders):
            if time.monotonic() > deadline:
                raise TimeoutError("it answers too slowly")
            what: str = state(folder)
            try:
                if what == "training":
                    further = tags(folder)
                    name = run_name(further["task"], further["variant"], int(further["seed"]))
                    ids[name] = follow(store, live.get(name, []), folder, further, parent_id)
                elif what == "ended":
                    record = run_record(folder, tags(folder))
                    old, owner = live.get(record.name, []), owners.setdefault(record.name, folder)
                    if owner is not folder:
                        raise DMPError(f"{folder} and {owner} both hold the run {record.name}")
                    what, ids[record.name] = store.update(old, record, parent_id)
                counts[what] += 1
            except DMPError as error:
                failures.append(error)
        if parent is not None and parent_id is not None:
            _finish(store, parent, parent_id, live.get(parent.name, []), ids)
    if failures:
        more = f" ({len(failures) - 1} more folders failed likewise)" if failures[1:] else ""
        raise FoldersError(f"{failures[0]}{more}") from failures[0]
    return IngestReport(**{name: counts[name] for name in IngestReport._fields})


def _ensure(store: Store, parent: Parent, live: "Sequence[Run]") -> str:
    """Return the id of a parent, which is never replaced: its children and links name it."""
    store.delete(live[1:])
    if live:
        return live[0].info.run_id
    return store.create(parent.name, parent.name, parent.tags, round(time.time() * 1000), None)


def _finish(
    store: Store, parent: Parent, run_id: str, live: "Sequence[Run]", ids: Mapping[str, str]
) -> None:
    """Bring a parent's tables, numbers, tags and description up to date, and its experiment's."""
    from mlflow.entities import Metric

    note = describe(parent, store.experiment_id, ids, MAX_NOTE)
    store.tag_experiment({"mlflow.note.content": note})
    tags = {**parent.tags, "mlflow.note.content": describe(parent, store.experiment_id, ids)}
    digest = digest_files(
        list(parent.artifacts.values()), *tags, *tags.values(), str(dict(parent.metrics))
    )
    if live and store.is_complete(live[0], digest):
        return
    store.tag(run_id, tags)
    now = round(time.time() * 1000)
    store.log(run_id, [Metric(name, value, now, 0) for name, value in parent.metrics.items()])
    store.complete(run_id, parent.artifacts, digest, round(time.time() * 1000))
