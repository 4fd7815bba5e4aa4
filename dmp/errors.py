"""The one exception that a user is meant to read."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class DMPError(Exception):
    """Input or environment that the benchmark cannot work with.

    The message is one sentence for a person: what is wrong, where (file, key, value) and what would
    be accepted. The command line prints it without a traceback and exits with ``status``.
    """

    status = 2


def one_line(error: BaseException) -> str:
    """Return what an error says, on one line; the name of its kind if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    """Return text that every terminal and file takes, on one line.

    Names that are not UTF-8 have bytes, and others control characters; both become escapes.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
