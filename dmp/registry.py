"""Names that YAML files use, and what stands behind each: ours, or another package's."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from dmp.config import nearest
from dmp.errors import DMPError, one_line

T = TypeVar("T")


def load_others(group: str, name: str | None = None) -> list[tuple[str, Any]]:
    """Import what other packages name in a group of entry points, and return it with its names.

    Args:
        name: only what has this name.

    Raises:
        DMPError: something cannot be imported; the message says whose it is.
    """
    found = []
    every = entry_points(group=group)
    for entry in every if name is None else every.select(name=name):
        try:
            found.append((entry.name, entry.load()))
        except (ImportError, AttributeError) as error:
            package = f"package {entry.dist.name}" if entry.dist else "another package"
            raise DMPError(
                f"{package} names {entry.value} as '{entry.name}' of {group}, which cannot "
                f"be imported: {one_line(error)}; mend or uninstall it"
            ) from error
    return found


def load_all(package: str, group: str) -> None:
    """Import every module of a package of ours, and what others name in a group of entry points.

    For names of which one module has several; what they name is registered as they are imported.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    load_others(group)


def add(
    known: dict[str, T], name: str, thing: T, kind: str, of: Callable[[T], Any] = lambda it: it
) -> None:
    """Make a thing known by its name.

    Args:
        kind: what it is, such as ``method``.
        of: returns the class, the instance or the function by which it is told from others.

    Raises:
        DMPError: another one has that name already; the same one may come again.
    """
    if name in known and (first := _place(of(known[name]))) != (second := _place(of(thing))):
        raise DMPError(f"two {kind}s are called '{name}': {first} and {second}; rename one of them")
    known[name] = thing


def _place(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def find(known: Mapping[str, T], name: str, kind: str, where: str = "") -> T:
    """Return a thing by its name.

    Raises:
        DMPError: there is none; ``where`` is the key in the file.
    """
    if name not in known:
        place = f"{where}: " if where else ""
        raise DMPError(f"{place}unknown {kind} '{name}': {nearest(name, known)}")
    return known[name]


class Registry(Generic[T]):
    """Classes or functions by name.

    A module ``<package>/<name>.py`` of ours registers ``name`` (with dashes where the file has
    underscores). Another package registers a name when it calls :meth:`register`; an entry point
    of that name in ``group`` says which of its modules does so. Modules are imported when their
    name is asked for.

    Args:
        package: where our modules are.
        group: the group of entry points.
    """

    def __init__(self, package: str, group: str) -> None:
        self._package, self._group = package, group
        self._found: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function; errors as :func:`add`."""

        def registered(thing: T) -> T:
            add(self._found, name, thing, f"{self._group} kind")
            return thing

        return registered

    def names(self) -> list[str]:
        """Return every name, without importing what is behind it."""
        folder = importlib.import_module(self._package).__path__
        ours = (module.name.replace("_", "-") for module in pkgutil.iter_modules(folder))
        return sorted({*self._found, *ours, *entry_points(group=self._group).names})

    def check(self, name: str, where: str) -> None:
        """Check that a name is known, without importing what is behind it.

        Raises:
            DMPError: it is not; ``where`` is the key in the file.
        """
        # Other packages are searched last, since that takes a while.
        if not (name in self._found or self._module(name) or name in self.names()):
            raise DMPError(f"{where} = '{name}': {nearest(name, self.names())}")

    def get(self, name: str, where: str) -> T:
        """Return what is registered by a name; errors as :meth:`check`."""
        self.check(name, where)
        if name not in self._found:
            module = self._module(name)
            if module:
                importlib.import_module(module)
            else:
                load_others(self._group, name)
            if name not in self._found:
                raise DMPError(
                    f"{where}: what '{name}' stands for in the group {self._group} of entry points "
                    f"registers nothing of that name"
                )
        return self._found[name]

    def _module(self, name: str) -> str:
        """Return the module of ours that registers a name; empty if there is none."""
        module = f"{self._package}.{name.replace('-', '_')}"
        known = name.replace("-", "").isalnum() and importlib.util.find_spec(module)
        return module if known else ""
