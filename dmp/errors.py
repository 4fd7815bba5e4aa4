"""The one exception that a user is meant to read."""


class DMPError(Exception):
    """Input or environment that the benchmark cannot work with.

    The message is one sentence for a person: what is wrong, where (file, key, value) and what would
    be accepted. The command line prints it without a traceback and exits with ``status``.
    """

    status = 2
