"""An MLflow store that is opened by one writer at a time, without chatter or telemetry."""

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dmp.errors import DMPError
from dmp.tracking.record import Record
from dmp.unreachable import cause_of, without_secrets, words_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Metric, Param, Run

# Long enough for an ingest of a thousand runs.
LOCK_TIMEOUT_S = 1800.0
# Another program, such as MLflow's own server, writes for less than that at a time.
BUSY_TIMEOUT_S = 20.0

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
# How many MLflow's API takes in one request: 1,000 values, of them 100 parameters.
_METRICS, _PARAMS = 900, 100


@dataclass(frozen=True)
class Store:
    """One experiment of an open MLflow store."""

    client: "MlflowClient"
    experiment_id: str

    def live_runs(self) -> "dict[str, list[Run]]":
        """Return the runs that were written by this module, by the name of their record.

        A name has more than one only if two processes wrote to a server at once.
        """
        found, token = defaultdict(list), None
        while True:
            page = self.client.search_runs([self.experiment_id], page_token=token)
            for run in page:
                if _NAME_TAG in run.data.tags:
                    found[run.data.tags[_NAME_TAG]].append(run)
            token = page.token
            if not token:
                return dict(found)

    @staticmethod
    def is_complete(run: "Run", digest: str) -> bool:
        """Return whether a run holds all of what has a digest."""
        return run.data.tags.get(_DIGEST_TAG) == digest

    def delete(self, runs: "Sequence[Run]") -> None:
        """Take runs off the lists; ``mlflow gc`` frees their space."""
        for run in runs:
            self.client.delete_run(run.info.run_id)

    def update(self, live: "Sequence[Run]", record: Record, parent: str | None) -> tuple[str, str]:
        """Leave exactly one run of a record; return what it was, as in a report, and its id.

        Raises:
            DMPError: the record cannot be read, or has a name that MLflow does not accept.
        """
        complete = [run for run in live if self.is_complete(run, record.digest)]
        if not complete:
            return ("updated" if live else "created"), self._replace(live, record, parent)
        run = complete[0]
        self.delete([other for other in live if other is not run])
        if parent is not None and run.data.tags.get(_PARENT_TAG) != parent:
            self.tag(run.info.run_id, {_PARENT_TAG: parent})
        return "unchanged", run.info.run_id

    def _replace(self, old: "Sequence[Run]", record: Record, parent: str | None) -> str:
        """Write a record as a new run, and return its id.

        The old runs go before the new one comes, and nobody ever finds two; all that is lost to a
        kill in between is a view of files that still exist.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
        from mlflow.exceptions import MlflowException

        # Before anything is deleted: a folder that cannot be read leaves the old run in place.
        metrics = [Metric(*point) for point in record.read_points()]
        params = [Param(key, value) for key, value in record.params.items()]
        self.delete(old)
        run_id = self.create(record.name, record.title, record.tags, record.start_ms, parent)
        if (use := record.dataset) is not None:
            dataset = Dataset(use.name, use.digest, "dmp", use.source, profile=use.profile)
            context = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run_id, [DatasetInput(dataset, context)])
        try:
            self.log(run_id, metrics, params)
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise DMPError(f"MLflow cannot take {record.name}: {words_of(error)}") from error
            raise
        self.complete(run_id, record.artifacts, record.digest, record.end_ms)
        return run_id

    def create(
        self, name: str, title: str, tags: Mapping[str, str], start_ms: int, parent: str | None
    ) -> str:
        """Create a run that is not complete, and return its id."""
        marks = {_NAME_TAG: name, **({} if parent is None else {_PARENT_TAG: parent})}
        created = self.client.create_run(
            self.experiment_id, start_ms, tags={**tags, **marks}, run_name=title
        )
        return created.info.run_id

    def log(self, run_id: str, metrics: "Sequence[Metric]", params: "Sequence[Param]" = ()) -> None:
        """Append to a run's metrics and parameters, in as many requests as it takes."""
        requests = max(-(-len(metrics) // _METRICS), -(-len(params) // _PARAMS))
        for number in range(requests):
            self.client.log_batch(
                run_id,
                metrics[number * _METRICS :][:_METRICS],
                params[number * _PARAMS :][:_PARAMS],
                synchronous=True,
            )

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value, synchronous=True)

    def tag_experiment(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment, where they differ."""
        present = self.client.get_experiment(self.experiment_id).tags
        for key, value in tags.items():
            if present.get(key) != value:
                self.client.set_experiment_tag(self.experiment_id, key, value)

    def complete(
        self, run_id: str, artifacts: Mapping[str, Path], digest: str, end_ms: int
    ) -> None:
        """Keep a run's artifacts and end it; last, mark it with the digest of all it is made from.

        Artifacts stand in place of those of the same name.
        """
        # Laid out in a folder of their own, all are handed over in one go.
        with tempfile.TemporaryDirectory(prefix="dmp-artifacts-") as place:
            # One inside: MLflow copies a folder's mode as well, and a temporary one is its owner's.
            folder = Path(place, "artifacts")
            folder.mkdir()
            for target, source in artifacts.items():
                path = folder / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(source.resolve())
            self.client.log_artifacts(run_id, str(folder))
        self.client.set_terminated(run_id, "FINISHED", end_ms)
        self.tag(run_id, {_DIGEST_TAG: digest})


@contextlib.contextmanager
def open_store(uri: str, experiment: str) -> Generator[Store]:
    """Open an experiment for writing, and create it and its SQLite store if need be.

    A SQLite store, ``sqlite:///path/mlflow.db``, is locked against other writers meanwhile, and
    keeps artifacts in ``mlartifacts`` beside it; a server, given by its address, is used as it is.

    Raises:
        DMPError: the store cannot be read or written, the server does not answer or not in time,
            or the experiment keeps its artifacts elsewhere: the store was moved or copied.
    """
    if "://" not in uri or uri.rstrip("/") == "sqlite:":
        raise DMPError(
            f"'{without_secrets(uri)}' is not a tracking URI; accepted are "
            f"sqlite:///path/mlflow.db and the address of a server such as http://localhost:5000"
        )
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None
    # MLflow reads the first on import, and the others when it needs them.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    failures = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError)
    # No chatter about migrations and retries; errors reach the user as exceptions.
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with _locked(path) if path else contextlib.nullcontext():
            client = MlflowClient(uri)
            yield Store(client, _experiment_id(client, experiment, path))
    except failures as error:
        cause, said = cause_of(error), words_of(error)
        what = f"{cause.what} ({said})" if cause else said
        remedy = cause.remedy if cause else "check that it is up and can be written"
        raise DMPError(
            f"cannot write the MLflow store {path}: {what}; {remedy}, and run the same command "
            f"again (what a store holds is rebuilt from the runs' folders)"
            if path
            else f"MLflow at {without_secrets(uri)} did not take the runs: {what}; {remedy}, or "
            f"choose another with --uri, and run the same command again: what is already there is "
            f"kept"
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None]:
    """Lock a SQLite store, created if there is none."""
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S).acquire()
    except Timeout as error:
        raise DMPError(
            f"another process has been writing to {path} for {LOCK_TIMEOUT_S:.0f} s; wait for it "
            f"and run the same command again"
        ) from error
    with lock:
        if path.exists() and path.stat().st_size:
            # MLflow would retry for minutes what will never work, such as a file of another kind.
            with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        else:
            # Under another name first: MLflow runs dozens of migrations, and cannot open again what
            # a kill in the middle of them leaves.
            for left in path.parent.glob(f".{path.name}.*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
                new = Path(folder).resolve() / path.name
                MlflowClient(f"{_SQLITE}{new}").search_experiments(max_results=1)
                new.replace(path)
        yield


def _artifacts_beside(store: Path) -> Path:
    """Return where a SQLite store has its artifacts."""
    return store.parent / "mlartifacts"


def _location(experiment: str, store: Path) -> str:
    """Return where an experiment of a SQLite store should keep its artifacts, as a URI."""
    return (_artifacts_beside(store).resolve() / experiment).as_uri()


def check_place(experiment: "Experiment", store: Path) -> None:
    """Check that an experiment keeps its artifacts where those of its SQLite store are now.

    MLflow notes where they are in full, has no relative locations, and no command that changes
    them.

    Raises:
        DMPError: it keeps them elsewhere; the message says what to do.
    """
    location = _location(experiment.name, store)
    if experiment.artifact_location.rstrip("/") != location:
        raise DMPError(
            f"MLflow's experiment '{experiment.name}' keeps its artifacts in "
            f"{experiment.artifact_location}, not in {location}: the results were moved or copied, "
            f"and MLflow cannot follow; rename or delete {store} and {_artifacts_beside(store)}, "
            f"and run `dmp track` again (for each scale and target): it fills a new one from the "
            f"runs' folders"
        )


def _experiment_id(client: "MlflowClient", name: str, store: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        # Else MLflow's pages ask what the experiment is for, and may show traces in place of runs.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        location = _location(name, store) if store else None
        return client.create_experiment(name, artifact_location=location, tags=kind)
    if store:
        check_place(found, store)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id
