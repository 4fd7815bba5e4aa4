"""What is wrong with a file of a dataset: as a row of a report, and as an error."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Literal, NamedTuple

from dmp.errors import DMPError

AGAIN = "copy or download it again"


class Finding(NamedTuple):
    """One thing that a user should know about a file.

    Attributes:
        severity: ``damage`` has to be mended before anything is computed; a ``note`` does not.
    """

    file: str
    severity: Literal["damage", "note"]
    problem: str
    remedy: str


def note(names: Sequence[str], kind: str, problem: str, done: str = "left out") -> list[Finding]:
    """Return one note about several files, named by the first; none if there are none."""
    if not names:
        return []
    what = f"{len(names)} {kind}, this one first, {problem}" if len(names) > 1 else problem
    return [Finding(names[0], "note", what, f"nothing; {done}")]


def alike(names: Iterable[str]) -> Iterator[Finding]:
    """Yield findings about names of classes that one person or another would take for one.

    Two forms of an accented letter, of which Macs write the one and all others the other, look the
    same; capitals are the same where file systems do not tell them from small letters.
    """
    forms: dict[str, str] = {}
    small: dict[str, str] = {}
    for name in names:
        form = unicodedata.normalize("NFC", name)
        if form in forms:
            problem = f"looks like another class, which is spelt {forms[form]!a}"
            yield Finding(name, "damage", problem, "make one class of the two, or rename one")
        elif form.casefold() in small:
            problem = f"differs from class '{small[form.casefold()]}' in capitals alone"
            yield Finding(name, "note", problem, "nothing; they are two classes")
        forms.setdefault(form, name)
        small.setdefault(form.casefold(), name)


class DamagedFileError(DMPError):
    """A file that cannot be used as it is."""

    def __init__(self, where: str | PurePath, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}; {remedy}")
        self.where, self.problem, self.remedy = str(where), problem, remedy

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # An exception is pickled by its message alone, unless it says otherwise.
        return type(self), (self.where, self.problem, self.remedy)

    def finding(self, file: str) -> Finding:
        """Return the damage as a row about ``file``."""
        return Finding(file, "damage", self.problem, self.remedy)
