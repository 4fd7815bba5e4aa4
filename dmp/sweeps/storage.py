"""Where the trials of all workers meet: a journal file, or a database."""

import contextlib
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from sqlalchemy.exc import SQLAlchemyError

from dmp.errors import DMPError
from dmp.files import understood, write_error
from dmp.sweeps.journal import ADVICE, SealedJournal
from dmp.unreachable import cause_of

# A lock on the journal that has not been released for so many seconds belonged to a worker that was
# killed while it wrote: writing takes milliseconds.
GRACE_SECONDS = 30


def open_storage(journal: Path, url: str = "") -> BaseStorage:
    """Return the storage at a database's URL, or else the one in a journal file.

    The journal works on NFS from version 3 on, where SQLite does not; its lock is an exclusive
    file that is forcibly released after ``GRACE_SECONDS``.

    Raises:
        DMPError: the folder or the file cannot be written, the journal is damaged, or the database
            cannot be reached.
    """
    if url:
        try:
            return optuna.storages.get_storage(url)
        except Exception as error:
            raise storage_error(error) from None
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        backend = SealedJournal(journal, GRACE_SECONDS)
        with understood(journal, ADVICE):
            return JournalStorage(backend)
    except OSError as error:
        raise write_error(journal, error) from error


def storage_error(error: BaseException) -> DMPError:
    """Return what to tell of a database that cannot be used, or not any more.

    Neither its URL nor the driver's message, which repeats it: they may hold a password.
    """
    what, remedy = cause_of(error) or (
        type(error).__name__,
        "--storage or DMP_SWEEP_STORAGE must be a URL of SQLAlchemy, such as "
        "postgresql://user:password@host/name",
    )
    return DMPError(
        f"the storage of the sweep cannot be used: {what}; {remedy}. The same command goes on with "
        f"the trials that are there"
    )


@contextlib.contextmanager
def told_apart() -> Generator[None]:
    """Turn what Optuna raises of a database that goes away meanwhile into one clear error."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise storage_error(error) from None


def open_study(storage: BaseStorage, name: str, objectives: Sequence[str]) -> optuna.Study:
    """Return a study, made if there is none; all objectives are to be small."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["minimize"] * len(objectives),
            load_if_exists=True,
        )
        if study.metric_names is None:
            study.set_metric_names(list(objectives))
    return study


def keep_note(study: optuna.Study, text: str) -> None:
    """Make a text the study's note in Optuna's dashboard; one that it is already is left alone."""
    from optuna_dashboard import get_note, save_note  # seconds, since it imports scikit-learn

    if get_note(study) != text:
        save_note(study, text)


def load_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Return a study that exists.

    Raises:
        DMPError: there is no such study.
    """
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise DMPError(
            f"the storage has no study '{name}': no worker has run this sweep as it is configured "
            f"now"
        ) from None
