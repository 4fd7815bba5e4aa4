"""JSON as every program reads it alike."""

import json
import math
from collections.abc import Iterator
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that every program reads alike.

    It has no NaN and no infinity, gives no key twice, and holds no text that cannot be written.

    Raises:
        ValueError: it is not such JSON.
        RecursionError: it is too deep.
    """
    value = json.loads(
        text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=distinct
    )
    if "\\u" in (text if isinstance(text, str) else text.decode()):
        json.dumps(value, ensure_ascii=False).encode()  # half of a pair of surrogates is no text
    return value


def not_finite(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield the place and the value of each number that JSON does not have."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from not_finite(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from not_finite(item, f"{place}.{number}" if place else str(number))
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, value


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds the number {constant}")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"it holds the number {text}")
    return number


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON from its keys and values.

    Raises:
        ValueError: it gives a key twice, of which programs take the one or the other.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it gives a key twice")
    return found
