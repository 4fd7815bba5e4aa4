"""Unlike causes are told apart, and no password is told at all."""

import errno
import socket
import sqlite3

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import NoSuchModuleError, OperationalError

from dmp.unreachable import cause_of, without_secrets, words_of


def wrapped(error: Exception) -> Exception:
    try:
        try:
            raise error
        except Exception as inner:
            raise RuntimeError("half a page of a library") from inner
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'psycopg2'", name="psycopg2"),
         "driver is not installed (no module psycopg2)"),
        (NoSuchModuleError("Can't load plugin: sqlalchemy.dialects:bogus"), "driver is not"),
        (sqlite3.OperationalError("database is locked"), "another program has it locked"),
        (OperationalError("select", {}, Exception("database is locked")), "has it locked"),
        (sqlite3.OperationalError("database or disk is full"), "no space is left"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space is left"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be written"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (sqlite3.DatabaseError("file is not a database"), "damaged, or of another kind"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "nothing answers"),
        (socket.gaierror(-2, "Name or service not known"), "no host of that name"),
        (TimeoutError("timed out"), "does not answer in time"),
        (Exception("FATAL:  password authentication failed for user"), "does not let this user"),
    ],
)  # fmt: skip
def test_cause_is_the_right_one_however_it_is_wrapped(error, words):
    for each in (error, wrapped(error)):
        what, remedy = cause_of(each)
        assert words in what
        assert remedy


def test_what_is_not_known_has_no_cause():
    assert cause_of(ValueError("something else")) is None
    assert words_of(ValueError()) == "ValueError"


def test_driver_that_is_missing_is_recognised_as_sqlalchemy_raises_it():
    with pytest.raises(ImportError) as caught:
        create_engine("mssql+pymssql://user:secret@host/name")
    assert "driver is not installed" in cause_of(caught.value).what


def test_passwords_are_not_told():
    assert "s3cret" not in without_secrets("cannot reach postgresql://me:s3cret@host/x?key=s3cret")
    assert "s3cret" not in words_of(ValueError("http://me:s3cret@host"))
