"""The kinds of texts that files may give: each has limits, as :mod:`dmp.config.numbers` have."""

import unicodedata
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

Item = TypeVar("Item")

# A name that folders and commands are given: no separator, no blank, no option.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=100)]


def _line(text: str) -> str:
    if any(unicodedata.category(letter) == "Cc" for letter in text):  # a table has a row of it
        raise ValueError("must be one line, without control characters")
    return text


# Something for a table or a heading.
Line = Annotated[str, Field(max_length=1000), AfterValidator(_line)]
# A file or a folder, or a name on the hub in place of one.
Place = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_line)]


def each_once(items: list[Item]) -> list[Item]:
    """Return a list in which nothing is there twice.

    Raises:
        ValueError: something is.
    """
    twice = next((item for number, item in enumerate(items) if item in items[:number]), None)
    if twice is not None:
        raise ValueError(f"'{twice}' is given twice")
    return items
