"""Every setting of a scale, and a way to change it, from the models of its file themselves."""

import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from dmp.studies.schema import Scale


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold, alone, as an alternative, or in a list or a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) is typing.Literal:
        return []
    return [model for part in typing.get_args(annotation) for model in models_of(part)]


def settings(model: type[BaseModel] = Scale, above: str = "") -> list[str]:
    """The dotted names of all settings; ``*`` is the name of a task or a stage."""
    names = []
    for name, field in model.model_fields.items():
        if len(_choices(field.annotation)) == 1 and models_of(field.annotation) == []:
            continue  # says which alternative this is
        inner = models_of(field.annotation)
        many = typing.get_origin(field.annotation) is dict and inner
        path = f"{above}{name}" + (".*" if many else "")
        names += [n for each in inner for n in settings(each, f"{path}.")] if inner else [path]
    return sorted(set(names))


def changed(
    model: BaseModel, path: list[str], change: Callable[[Any], Any] | None = None
) -> Iterator[BaseModel]:
    """Yield a copy with the setting changed wherever it is found; nothing if it is nowhere.

    ``change`` returns another value; :func:`another` if None.
    """
    head, *rest = path
    if head not in type(model).model_fields:
        return  # an alternative has it
    value = getattr(model, head)
    if not rest:
        annotation = type(model).model_fields[head].annotation
        new = change(value) if change else another(value, annotation)
    elif isinstance(value, dict):
        items = {key: list(changed(each, rest[1:], change)) for key, each in value.items()}
        if not any(items.values()):
            return
        new = {key: (items[key] or [value[key]])[0] for key in value}
    elif isinstance(value, list):
        items = [each for one in value for each in changed(one, rest)]
        if not items:
            return
        new = items
    elif isinstance(value, BaseModel):
        inner = list(changed(value, rest, change))
        if not inner:
            return
        (new,) = inner
    else:
        return
    yield model.model_copy(update={head: new})


def another(value: Any, annotation: Any) -> Any:
    """A value of the same kind that is not this one."""
    choices = _choices(annotation)
    if choices and not isinstance(value, list):
        return next(choice for choice in choices if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.5 + (value == 0)
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return [] if value else list(choices[:1]) or ["x"]
    if isinstance(value, tuple):
        return (*value, *value[-1:])
    if isinstance(value, dict):
        return {**value, "x": 1}
    kinds = [a for a in _flat(annotation) if a in (int, float, str)]
    return {int: 1, float: 0.5, str: "x"}[kinds[0]]


def _flat(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return [each for part in typing.get_args(annotation) for each in _flat(part)]
    return [annotation]


def _choices(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return tuple(choice for part in typing.get_args(annotation) for choice in _choices(part))
