"""An MLflow store that is opened by one writer at a time, without chatter or telemetry."""

import contextlib
import logging
import math
import os
import sqlite3
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dmp.errors import DMPError
from dmp.tracking import bulk
from dmp.tracking.record import DatasetUse, Point, Record
from dmp.tracking.redact import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Long enough for an ingest of a thousand runs.
LOCK_TIMEOUT_S = 1800.0

# Whoever sets these variables keeps their values.
_ENVIRONMENT = {
    # MLflow's own defaults let a command hang for a quarter of an hour on a server that is down.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    # Two lines for every run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_NAME_TAG = "dmp.record"
_DIGEST_TAG = "dmp.folder_digest"
_PARENT_TAG = "mlflow.parentRunId"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Store:
    """One experiment of an open MLflow store.

    Attributes:
        client: talks to the store.
        experiment_id: the experiment's.
        database: the SQLite file where its tables can be written to at once; else None.
        deadline: when to give up, on the clock of ``time.monotonic``.

    """

    client: "MlflowClient"
    experiment_id: str
    database: Path | None
    deadline: float

    def live_runs(self) -> "dict[str, list[Run]]":
        """Return the runs that were written by this module, by the name of their record.

        A name has more than one only if two processes wrote to a server at once.
        """
        found, token = defaultdict(list), None
        while True:
            self._in_time()
            page = self.client.search_runs([self.experiment_id], page_token=token)
            for run in page:
                if _NAME_TAG in run.data.tags:
                    found[run.data.tags[_NAME_TAG]].append(run)
            token = page.token
            if not token:
                return dict(found)

    @staticmethod
    def digest(run: "Run") -> str | None:
        """Return the digest of the record that a run holds, or None if it was not completed."""
        return run.data.tags.get(_DIGEST_TAG)

    def delete(self, run: "Run") -> None:
        """Take a run off the lists; ``mlflow gc`` frees its space."""
        self._in_time()
        self.client.delete_run(run.info.run_id)

    def adopt(self, run: "Run", parent: str | None) -> None:
        """Make a run the child of another, if it is not."""
        if parent is not None and run.data.tags.get(_PARENT_TAG) != parent:
            self._tag(run.info.run_id, _PARENT_TAG, parent)

    def replace(self, old: "Sequence[Run]", record: Record, parent: str | None = None) -> str:
        """Write a record as a new run in place of the old ones, and return its id.

        The digest is set when all else is there. The old runs go first, so that nobody ever finds
        two; all that is lost to a kill in between is a view of files that still exist.
        """
        # Before anything is deleted: a folder that cannot be read leaves the old run in place.
        with staged(record.artifacts, record.made) as folder:
            points = record.read_points()
            for run in old:
                self.delete(run)
            run_id = self.create(record.name, record.tags, record.start_ms, parent)
            if record.dataset is not None:
                self._log_dataset(run_id, record.dataset)
            self.attach(run_id, folder)
        self._end(run_id, record.end_ms)
        # Last: MLflow reads all values of a run at each of the steps above.
        self._log(run_id, points, record.params, record.digest)
        return run_id

    def create(
        self, name: str, tags: Mapping[str, str], start_ms: int, parent: str | None = None
    ) -> str:
        """Create a run that is not complete, and return its id."""
        self._in_time()
        marks = {_NAME_TAG: name, **({} if parent is None else {_PARENT_TAG: parent})}
        created = self.client.create_run(
            self.experiment_id, start_ms, tags={**tags, **marks}, run_name=name
        )
        return created.info.run_id

    def attach(self, run_id: str, folder: Path) -> None:
        """Keep all files of a folder as artifacts of a run, in place of those of the same name."""
        self._in_time()
        self.client.log_artifacts(run_id, str(folder))

    def describe(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        for key, value in tags.items():
            self._tag(run_id, key, value)

    def complete(self, run_id: str, digest: str, end_ms: int) -> None:
        """End a run, and mark it with the digest of all that it was made from."""
        self._end(run_id, end_ms)
        self._tag(run_id, _DIGEST_TAG, digest)

    def _end(self, run_id: str, end_ms: int) -> None:
        self._in_time()
        self.client.set_terminated(run_id, "FINISHED", end_ms)

    def _tag(self, run_id: str, key: str, value: str) -> None:
        self._in_time()
        self.client.set_tag(run_id, key, value, synchronous=True)

    def _log(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str], digest: str
    ) -> None:
        """Write histories and parameters, then the digest."""
        from mlflow.entities import Metric, Param

        if self.database is not None:
            bulk.insert(self.database, run_id, points, params, {_DIGEST_TAG: digest})
            return
        metrics = [Metric(*point) for point in points]
        # The sizes that MLflow's API takes in one request.
        for start in range(0, len(metrics), 1000):
            self._in_time()
            self.client.log_batch(run_id, metrics[start : start + 1000], synchronous=True)
        given = [Param(key, value) for key, value in params.items()]
        for start in range(0, len(given), 100):
            self._in_time()
            self.client.log_batch(run_id, params=given[start : start + 100], synchronous=True)
        self._tag(run_id, _DIGEST_TAG, digest)

    def _log_dataset(self, run_id: str, use: DatasetUse) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self._in_time()
        dataset = Dataset(
            use.name, use.digest, source_type="dmp", source=use.source, profile=use.profile
        )
        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def _in_time(self) -> None:
        """Give up between two requests if the whole ingest has taken too long."""
        if time.monotonic() > self.deadline:
            raise TimeoutError("it answers too slowly")


@contextlib.contextmanager
def staged(
    artifacts: Mapping[str, Path],
    made: Mapping[str, Callable[[], bytes | None]] = {},
) -> Iterator[Path]:
    """Lay out artifacts in a folder of their own, to be handed over in one go."""
    with tempfile.TemporaryDirectory(prefix="dmp-artifacts-") as name:
        folder = Path(name)
        for target, source in artifacts.items():
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(source.resolve())
        for target, make in made.items():
            content = make()
            if content is not None:
                path = folder / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        yield folder


@contextlib.contextmanager
def open_store(
    uri: str, experiment: str, artifact_root: Path | None, deadline: float = math.inf
) -> Iterator[Store]:
    """Open an experiment for writing, and create it and its SQLite store if need be.

    Args:
        uri: ``sqlite:///path/mlflow.db``, which is locked against other writers meanwhile, or the
            address of a server, which is used as it is.
        experiment: name of the experiment.
        artifact_root: folder for artifacts; None means ``mlartifacts`` beside a SQLite store, and
            a server's own choice.
        deadline: when to give up, on the clock of ``time.monotonic``; a request that is under way
            ends by its own time limit.

    Raises:
        DMPError: the store cannot be read or written, the server does not answer or not in time,
            or the experiment keeps its artifacts elsewhere.

    """
    if "://" not in uri or uri.rstrip("/") == "sqlite:":
        raise DMPError(
            f"'{redact(uri, uri)}' is no tracking URI; accepted are sqlite:///path/mlflow.db and "
            f"the address of a server such as http://localhost:5000"
        )
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None
    if path and artifact_root is None:
        artifact_root = path.parent / "mlartifacts"
    with contextlib.ExitStack() as stack:
        if path:
            stack.enter_context(_locked(path))
        stack.enter_context(_explained(uri, path))
        from mlflow import MlflowClient

        if path:
            _create(path)
        client = MlflowClient(uri)
        location = artifact_root and (artifact_root.resolve() / experiment).as_uri()
        experiment_id = _experiment_id(client, experiment, location)
        database = path if path and bulk.is_known(path) else None
        yield Store(client, experiment_id, database, deadline)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a SQLite store, having made sure that it can be written if it is there."""
    lock = FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise DMPError(
            f"another process has been writing to {path} for {LOCK_TIMEOUT_S:.0f} s; wait for it "
            f"and run the same command again"
        ) from error
    except OSError as error:
        raise _store_error(path, error.strerror or str(error)) from error
    try:
        if path.exists():
            # MLflow would retry for minutes what will never work, such as a file of another kind.
            try:
                with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.rollback()
            except sqlite3.Error as error:
                raise _store_error(path, str(error)) from error
        yield
    finally:
        lock.release()


def _create(path: Path) -> None:
    """Create a SQLite store if there is none.

    Under another name first: MLflow runs dozens of migrations, and cannot open again what a kill in
    the middle of them leaves.
    """
    from mlflow import MlflowClient

    if path.exists() and path.stat().st_size:
        return
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        new = Path(folder).resolve() / path.name
        MlflowClient(f"{_SQLITE}{new}").search_experiments(max_results=1)
        new.replace(path)


def _store_error(path: Path, reason: str) -> DMPError:
    return DMPError(
        f"cannot write the MLflow store {path}: {reason}; free space, make it writable or move it "
        f"away (it is rebuilt from the runs' folders), and run the same command again"
    )


@contextlib.contextmanager
def _explained(uri: str, path: Path | None) -> Iterator[None]:
    """Keep MLflow quiet and at home; its errors become a :class:`DMPError`."""
    # MLflow reads the first on import, and the others when it needs them.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _silence():
            yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = _reason(error, uri)
        if path:
            raise _store_error(path, reason) from error
        raise DMPError(
            f"MLflow at {redact(uri, uri)} did not take the runs ({reason}); check that it is up "
            f"and can be written, or choose another with --uri, and run the same command again: "
            f"what is already there is kept"
        ) from error


def _reason(error: BaseException, uri: str) -> str:
    """Return what the system or the database said, or what MLflow said if it was neither."""
    chain, inner = [error], error.__cause__ or error.__context__
    while inner:
        chain.append(inner)
        inner = inner.__cause__ or inner.__context__
    # MLflow and its libraries wrap "Connection refused" into half a page.
    told = [e for e in chain if isinstance(e, OSError | sqlite3.Error)] or chain[:1]
    text = redact(str(told[-1]), uri).strip()
    return textwrap.shorten(text, 300, placeholder="...") or type(told[-1]).__name__


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep quiet about migrations, retries and tracebacks; errors reach the user as exceptions."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _experiment_id(client: "MlflowClient", name: str, location: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # Else MLflow's pages ask what the experiment is for, and may show traces in place of runs.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return client.create_experiment(name, artifact_location=location, tags=kind)
    if location and found.artifact_location.rstrip("/") != location:
        raise DMPError(
            f"experiment '{name}' keeps its artifacts in {found.artifact_location}, not in "
            f"{location}: the results were moved; move the MLflow store away and run the same "
            f"command again (it is rebuilt from the runs' folders)"
        )
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id
