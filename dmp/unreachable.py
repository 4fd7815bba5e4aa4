"""Why a database or a server cannot be used, and what to do: the right cause, in one line."""

import errno
import re
import socket
import sqlite3
from typing import NamedTuple

# What may be secret in an address, which libraries' messages repeat: user:password@ and ?key=value.
_SECRET = re.compile(r"[^\s/:@'\"]*:[^\s/@]+(?=@)|(?<=\?)\S+")


class Cause(NamedTuple):
    """What is wrong, and what a person can do; both are parts of a sentence."""

    what: str
    remedy: str


# By words of the systems and databases, in lower case; the first that is found counts.
_BY_WORDS = (
    (("no module named", "nosuchmodule", "can't load plugin", "failed to import db access"),
     "its driver is not installed",
     "install the driver in this environment, or choose another database"),
    (("is locked", "lock wait timeout", "deadlock"),
     "another program has it locked", "let that end, or end it"),
    (("disk is full", "disk full", "no space", "quota"),
     "no space is left on its device", "free some"),
    (("readonly", "read-only", "permission denied", "unable to open database file"),
     "it cannot be written", "make the file and its folder writable"),
    (("not a database", "malformed", "disk i/o error"),
     "its file is damaged, or of another kind", "move it away"),
    (("refused", "could not connect", "can't connect"),
     "nothing answers there", "start it, or correct the address"),
    (("name or service not known", "could not translate host", "getaddrinfo", "name resolution",
      "nodename nor servname", "resolve"),
     "there is no host of that name", "correct the address"),
    (("timed out", "timeout", "answers too slowly"),
     "it does not answer in time", "try again later"),
    (("authentication failed", "access denied", "code 401", "code 403", "no password"),
     "it does not let this user in", "correct the name and the password"),
    (("could not parse", "invalid url", "dialect"),
     "its address is not one", "write it as postgresql://user:password@host/name"),
)  # fmt: skip


def chain_of(error: BaseException) -> list[BaseException]:
    """Return an error and what it was raised from, down to the first."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) and inner not in chain:
        chain.append(inner)
    return chain


def cause_of(error: BaseException) -> Cause | None:
    """Return the cause of an error that a database, a server or their libraries have raised.

    None if it is none of those that are known.
    """
    chain = chain_of(error)
    for each in reversed(chain):
        if isinstance(each, ImportError):
            name = f" (no module {each.name})" if each.name else ""
            return Cause(f"{_BY_WORDS[0][1]}{name}", _BY_WORDS[0][2])
        if isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT):
            return Cause(*_BY_WORDS[2][1:])
        if isinstance(each, socket.gaierror):
            return Cause(*_BY_WORDS[6][1:])
    for each in reversed(chain):
        text = f"{type(each).__name__} {each}".lower()
        for words, what, remedy in _BY_WORDS:
            if any(word in text for word in words):
                return Cause(what, remedy)
    return None


def without_secrets(text: str) -> str:
    """Return a text without what may be secret in the addresses in it."""
    return _SECRET.sub("***", text)


def words_of(error: BaseException) -> str:
    """Return what the system or the database said, or else what the library did; no secrets."""
    chain = chain_of(error)
    # Libraries wrap "Connection refused" into half a page.
    causes = [e for e in chain if isinstance(e, OSError | sqlite3.Error | ImportError)] or chain[:1]
    text = " ".join(without_secrets(str(causes[-1])).split())
    return (text if len(text) <= 300 else text[:297] + "...") or type(causes[-1]).__name__
