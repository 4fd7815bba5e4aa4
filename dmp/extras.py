"""What `pip install dmp-bench` leaves out, and what is said where it is needed."""

import importlib.util

from dmp.errors import DMPError


class MissingExtraError(DMPError, ImportError):
    """A package that an extra installs is not there."""


def needs(extra: str, *modules: str) -> None:
    """Check that what an extra installs is there, before modules that import it are.

    Args:
        extra: its name in ``pyproject.toml``.
        modules: what is imported of it.

    Raises:
        MissingExtraError: naming the first that is absent, and the extra.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise missing(module, extra)


def missing(module: str, extra: str = "bench") -> MissingExtraError:
    """Return the error for a module that is absent."""
    return MissingExtraError(
        f"the package '{module}' is not installed; this needs `pip install dmp-bench[{extra}]`"
    )
