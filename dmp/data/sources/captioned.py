"""What the formats with captions share: what a caption may be, and how one is left out.

All captions of an image are kept, in the order in which they are stored. Training uses the first k
of each image, where k is how many every image has, and draws one of them for each example from
(seed, purpose, number of the example).
"""

import json
from collections.abc import Iterable
from typing import Any

from dmp.data.sources.findings import AGAIN, DamagedFileError, Finding
from dmp.jsontext import distinct

# Under one of these names a .json holds the captions.
KEYS = ("caption", "captions", "text")

_KINDS = {bool: "true or false", int: "a number", float: "a number", dict: "an object"}


def orphaned(names: Iterable[str]) -> list[Finding]:
    """Return the findings about captions without an image."""
    problem = "a caption names this image, which does not exist"
    remedy = "copy or download the image again, or remove its captions"
    return [Finding(name, "damage", problem, remedy) for name in names]


def captions_in(value: Any, where: str) -> list[str]:
    """Return captions without surrounding blanks, and without those that are nothing else.

    Args:
        value: a text, a list of texts, or None; in a list, None counts as no caption.
        where: what it was read from, for messages.

    Raises:
        DamagedFileError: it is anything else, or a text that is not valid Unicode.
    """
    found = []
    for item in value if isinstance(value, list | tuple) else [value]:
        if item is None:
            continue
        if not isinstance(item, str):
            kind = _KINDS.get(type(item), f"a {type(item).__name__} in a list")
            problem = f"a caption is {kind}, {str(item)[:40]}, in place of a text"
            raise DamagedFileError(where, problem, "write a text, or a list of texts")
        try:
            item.encode()
        except UnicodeEncodeError as error:  # half of a pair, which JSON can escape
            raise DamagedFileError(where, f"is not a caption ({error})", AGAIN) from error
        found.append(item.strip())
    return [text for text in found if text]


def captions_in_text(data: bytes, where: str) -> list[str]:
    """Return the caption in the bytes of a ``.txt``.

    Raises:
        DamagedFileError: it is not UTF-8.
    """
    try:
        return captions_in(data.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        raise DamagedFileError(where, f"is not a caption ({error})", AGAIN) from error


def captions_in_json(data: bytes, where: str) -> list[str]:
    """Return the captions in the bytes of a ``.json``: all of it, or what an object has of them.

    Raises:
        DamagedFileError: it is not JSON, or holds something else in their place.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(where, f"is not JSON ({error})", AGAIN) from error
    if isinstance(value, dict):
        value = next((value[key] for key in KEYS if key in value), None)
    return captions_in(value, where)
