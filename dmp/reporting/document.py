"""What a page is, whatever it is rendered as: tables of finished text, sections and notes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from dmp.statistics.formatting import MISSING

# A number at the start of a cell: what stands before its digits, and those before its point.
_NUMBER = re.compile(r"(\[?[<+−]?)([\d,]*\d)")


@dataclass(frozen=True)
class Table:
    """A table of finished text.

    Attributes:
        caption: one sentence.
        frame: strings; the columns are the header.
        text_columns: how many columns from the left are words; the rest are aligned by the points
            of their numbers.
        narrow: the same for a column of print; LaTeX then leaves ``frame`` to the appendix. Its
            first column is a heading over the rows that share it.
        legend: a line of text below ``narrow``.
        linked: whether the first column names sections of the page.
    """

    caption: str
    frame: pd.DataFrame
    text_columns: int
    narrow: pd.DataFrame | None = None
    legend: str = ""
    linked: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page that can be linked to, in this order.

    Attributes:
        name: the heading, and in lower case the anchor.
    """

    name: str
    lines: list[str]
    tables: list[Table]


@dataclass(frozen=True)
class Page:
    """What stands on a page, in this order.

    Attributes:
        warning: what a reader must know before the first number; empty for none.
        notes: lines of text, which follow the sections.
        sections: details.
        picture: an image's path from the page, and what it shows; it follows the tables.
    """

    title: str
    warning: str
    introduction: list[str]
    tables: list[Table]
    notes: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    picture: tuple[str, str] | None = None


def one_line(text: str) -> str:
    """Return the text on one line, so that no line of it can begin a new element."""
    return re.sub(r"\s+", " ", text).strip()


def aligned(frame: pd.DataFrame, words: int, sign: str, digit: str) -> pd.DataFrame:
    """Return a table whose numbers, set flush left, have their points below each other.

    Args:
        frame: of finished text.
        words: so many columns from the left are left as they are.
        sign: what is as wide as a sign and cannot be seen.
        digit: the same of a digit.
    """
    table = frame.copy()
    for k in range(words, frame.shape[1]):
        table.isetitem(k, _padded(list(frame.iloc[:, k]), sign, digit))
    return table


def _padded(column: Sequence[str], sign: str, digit: str) -> list[str]:
    found = [_NUMBER.match(text) for text in column]
    before = max((len(m[1]) for m in found if m), default=0)
    digits = max((len(m[2]) for m in found if m), default=1)

    def pad(text: str, match: re.Match | None) -> str:
        if match is None and text != MISSING:
            return text
        own = (0, 1) if match is None else (len(match[1]), len(match[2]))
        return sign * (before - own[0]) + digit * (digits - own[1]) + text

    return [pad(text, match) for text, match in zip(column, found, strict=True)]
