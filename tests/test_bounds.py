"""Every number that a file, an option or a variable of the environment gives has limits."""

import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import dmp
from dmp.cli import app
from dmp.cli.workspace import LARGEST_SEED
from dmp.config import Strict
from dmp.data.manifest import Manifest

# What the program writes itself.
OURS = {Manifest}


def models(base: type[Strict] = Strict) -> Iterator[type[Strict]]:
    for model in base.__subclasses__():
        yield model
        yield from models(model)


def every_model() -> list[type[Strict]]:
    for module in pkgutil.walk_packages(dmp.__path__, "dmp."):
        if module.name != "dmp.__main__":
            importlib.import_module(module.name)
    found = {model for model in models() if model.__module__.startswith("dmp.")}
    return sorted(found - OURS, key=lambda model: f"{model.__module__}.{model.__name__}")


def numbers(schema: Any, place: str = "") -> Iterator[tuple[str, dict]]:
    """Every number in a JSON schema, and where it stands."""
    if isinstance(schema, list):
        for number, each in enumerate(schema):
            yield from numbers(each, f"{place}.{number}")
    elif isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield place, schema
        for key, each in schema.items():
            if key not in ("default", "const", "enum"):
                yield from numbers(each, f"{place}.{key}")


def bounded(schema: dict) -> bool:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    return -1e15 <= low <= high <= 1e15


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_number_of_a_model_has_limits(model):
    """A new field without any fails here: take a kind of dmp.config.numbers."""
    unlimited = [
        place for place, schema in numbers(model.model_json_schema()) if not bounded(schema)
    ]
    assert unlimited == []


def options(commands: typer.Typer) -> Iterator[tuple[str, Any]]:
    """The name and the annotation of every option and argument."""
    for command in commands.registered_commands:
        for parameter in inspect.signature(command.callback).parameters.values():
            yield f"{command.callback.__name__} {parameter.name}", parameter.annotation
    for group in commands.registered_groups:
        yield from options(group.typer_instance)


def test_every_number_on_the_command_line_has_limits():
    found = {name: kind for name, kind in options(app) if re.search(r"\b(int|float)\b", str(kind))}
    assert len(found) > 15
    infos = {name: kind.__metadata__[0] for name, kind in found.items()}
    assert [name for name, info in infos.items() if None in (info.min, info.max)] == []


def test_largest_seed_is_that_of_the_models():
    assert LARGEST_SEED == dmp.config.numbers.LARGEST_SEED
