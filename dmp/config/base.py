"""The common base of all configuration models, and errors that name the nearest accepted key."""

import difflib
import hashlib
import json
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from dmp.errors import DMPError
from dmp.files import STAGE_OUTPUT, Advice, read_json, told


class Strict(BaseModel):
    """A frozen model in which an unknown key is an error, never silently ignored.

    NaN and infinity are no options either: JSON, in which configurations are kept, has neither.
    Neither is text in place of a number, nor a number in place of true and false, nor the reverse:
    what is written so is a slip. Every number has limits, see :mod:`dmp.config.numbers`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


Model = TypeVar("Model", bound=BaseModel)


def did_you_mean(name: str, accepted: Iterable[str]) -> str:
    """Return ``did you mean ...?`` and a blank; nothing if no name is like ``name``."""
    close = difflib.get_close_matches(name, sorted(accepted), n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'? " if close else ""


def nearest(name: str, accepted: Iterable[str]) -> str:
    """Return ``did you mean ...? accepted: ...`` for a name that is not among ``accepted``."""
    accepted = sorted(accepted)
    return f"{did_you_mean(name, accepted)}accepted: {', '.join(accepted)}"


def content_hash(value: Any) -> str:
    """Return the first 12 hex digits of the SHA-256 of ``value`` as canonical JSON."""

    def plain(model: BaseModel) -> Any:
        return model.model_dump(mode="json")

    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _fields_at(model: Any, location: tuple) -> set[str]:
    """Return the field names accepted at ``location`` inside ``model``; empty where unknown."""
    models = [model]
    for part in location:
        found: list[Any] = []
        for candidate in models:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                field = candidate.model_fields.get(part) if isinstance(part, str) else None
                if field is not None:
                    found.append(field.annotation)
                elif candidate.__name__ == part or _has_tag(candidate, part):
                    # pydantic names the member of a union in the location.
                    found.append(candidate)
        unwrapped: list[Any] = []
        while found:
            annotation = found.pop()
            origin = typing.get_origin(annotation)
            if origin in (typing.Union, types.UnionType, list, tuple, dict, typing.Annotated):
                found.extend(typing.get_args(annotation))
            else:
                unwrapped.append(annotation)
        # A list index or a key of a dict leaves the candidates as they are.
        models = unwrapped or models
    names: set[str] = set()
    for candidate in models:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            names |= set(candidate.model_fields)
    return names


def _is_alternative(part: Any) -> bool:
    """Return whether a part of a location is not of the file: pydantic names kinds of values so."""
    return isinstance(part, str) and (
        part in ("int", "float", "bool", "str")
        or part.startswith(("constrained-", "literal[", "function-"))
    )


def _has_tag(model: type[BaseModel], part: Any) -> bool:
    """Return whether a union tells its member ``model`` by the value ``part`` of a field."""
    kinds = (field.annotation for field in model.model_fields.values())
    return any(typing.get_origin(k) is typing.Literal and part in typing.get_args(k) for k in kinds)


def from_data(model: type[Model], data: Any, where: str, text: bool = False) -> Model:
    """Validate ``data`` as ``model``.

    Args:
        where: the file (and place in it) that the data came from, for the message.
        text: whether numbers are given as text, as in the name of a variant.

    Raises:
        DMPError: naming the file, the key, the value and what is accepted.
    """
    try:
        return model.model_validate(data, strict=False if text else None)
    except ValidationError as error:
        problems: dict[str, list[str]] = {}
        for problem in error.errors():
            location = problem["loc"]
            key = ".".join(str(part) for part in location if not _is_alternative(part))
            if problem["type"] == "extra_forbidden":
                accepted = _fields_at(model, location[:-1])
                what, message = f"unknown key '{key}'", nearest(str(location[-1]), accepted)
            elif problem["type"] == "missing":
                what, message = f"missing key '{key}'", ""
            else:
                message = problem["msg"].removeprefix("Value error, ")
                value = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r:.80}"
                what = f"'{key}'{value}" if key else ""
            problems.setdefault(what, []).append(message)
        parts = (
            ": ".join(filter(None, [what, ", or ".join(dict.fromkeys(messages))]))
            for what, messages in problems.items()
        )
        raise DMPError(f"{where}: " + "; ".join(parts)) from error


def from_file(model: type[Model], path: Path, advice: Advice = STAGE_OUTPUT) -> Model:
    """Read a JSON file that the program has written, as ``model``.

    Raises:
        DMPError: the file cannot be read, or does not hold what it should.
    """
    data = read_json(path, advice)
    try:
        return from_data(model, data, str(path))
    except DMPError as error:
        raise DMPError(told(str(error), advice.damaged)) from error
