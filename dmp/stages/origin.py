"""What made a set of runs, and whether two sets must have the same bits; no torch."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt

from dmp.config import from_file
from dmp.numerics import X86_64, processor
from dmp.studies import Plan

PORTABLE = "portable"
_DISTINCT = ("commit", "dirty", "machine", "device", "python", "libc", "numerics", "architecture")


class Record(BaseModel, strict=True, frozen=True):
    """The ``provenance.json`` of one run, as far as it is used here."""

    commit: str
    # None where the commit is unknown, too.
    dirty: bool | None
    machine: str
    device: str
    python: str
    versions: dict[str, str]
    # Records of the first runs with numerics do not have it.
    libc: str = ""
    numerics: str
    architecture: str
    started: str
    finished: str


class Origin(BaseModel, strict=True, frozen=True):
    """What made the runs of a scale: every distinct value, and from when to when.

    Attributes:
        processor: of the machines that gathered them.
        runs: how many there are.
        (others): see :mod:`dmp.stages.provenance`.
    """

    commit: Annotated[list[str], Field(min_length=1)]
    dirty: list[bool]
    machine: list[str]
    device: list[str]
    python: list[str]
    versions: Annotated[list[dict[str, str]], Field(min_length=1)]
    libc: list[str]
    numerics: Annotated[list[str], Field(min_length=1)]
    architecture: list[str]
    processor: list[str]
    runs: PositiveInt
    started: str
    finished: str


class Seeds(BaseModel, strict=True, frozen=True, extra="forbid"):
    """The seeds of a study: all from the first to the last."""

    first: NonNegativeInt
    last: NonNegativeInt

    def __str__(self) -> str:
        """Return ``0 to 11``, or ``0``."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"

    def __len__(self) -> int:
        """How many there are."""
        return self.last - self.first + 1

    def common(self, other: "Seeds") -> "Seeds | None":
        """Return the seeds of both, if there are any."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return Seeds(first=first, last=last) if first <= last else None

    def of(self, plan: Plan) -> Plan:
        """Return the plan with these seeds in place of its own."""
        changes = {"first_seed": self.first, "seeds": len(self)}
        return dataclasses.replace(plan, scale=plan.scale.model_copy(update=changes))


def seeds_of(plan: Plan) -> Seeds:
    """Return the seeds of a plan."""
    return Seeds(first=plan.seeds[0], last=plan.seeds[-1])


class Published(BaseModel, strict=True, frozen=True):
    """The ``provenance.json`` of a reference.

    Attributes:
        origin: of all its runs.
        seeds: of each study, and of ``claims``: every cell of it has all of them.
    """

    origin: Origin
    seeds: dict[str, Seeds]


def merged(a: Origin, b: Origin, runs: int) -> Origin:
    """Return what made the runs of both, so many together."""
    lists = {
        name: sorted({*getattr(a, name), *getattr(b, name)}) for name in (*_DISTINCT, "processor")
    }
    versions = [*a.versions, *(each for each in b.versions if each not in a.versions)]
    return Origin(
        **lists,
        versions=versions,
        runs=runs,
        started=min(a.started, b.started),
        finished=max(a.finished, b.finished),
    )


def origin_of(runs: Sequence[Path], baselines: Sequence[Path]) -> Origin:
    """Return what made some runs, at least one, and baselines, from their folders.

    Raises:
        DMPError: a record is missing or damaged.
    """
    paths = [folder / "provenance.json" for folder in (*runs, *baselines)]
    records = [from_file(Record, path) for path in paths]
    distinct = {
        name: sorted({getattr(r, name) for r in records} - {"", None}) for name in _DISTINCT
    }
    versions = sorted({tuple(sorted(record.versions.items())) for record in records})
    return Origin(
        **distinct,
        versions=[dict(items) for items in versions],
        processor=[f"{os.cpu_count()} × {processor()}"],
        runs=len(runs),
        started=min(record.started for record in records),
        finished=max(record.finished for record in records),
    )


def why_not_bits(here: Origin, reference: Origin) -> str:
    """Return why two sets of runs need not have the same bits, or nothing if they must."""
    reasons = []
    for name, origin in (("this run", here), ("the reference", reference)):
        others = [value for value in origin.numerics if value != PORTABLE]
        if others:
            part = "in part " if PORTABLE in origin.numerics else ""
            reasons.append(f"{name} is {part}{', '.join(others)}")
        foreign = [value for value in origin.architecture if value not in X86_64]
        if foreign:
            reasons.append(f"{name} was made on {', '.join(foreign)}")
    return "; ".join(reasons)


def likely_cause(here: Origin, reference: Origin) -> str:
    """Return what differs between two sets of runs that should have had the same bits."""
    packages = _versions_that_differ(here, reference)
    causes = []
    if packages:
        causes.append(
            f"other versions of packages ({'; '.join(packages)}); `make setup` installs those of "
            f"requirements.lock, and the runs have to be made again"
        )
    if set(here.commit) != set(reference.commit) or any(here.dirty) or any(reference.dirty):
        causes.append(f"other code ({_code(here)} here, {_code(reference)} in the reference)")
    if here.libc and reference.libc and here.libc != reference.libc:
        causes.append(
            f"another C library ({', '.join(here.libc)} here, {', '.join(reference.libc)} in the "
            f"reference), whose functions may round differently"
        )
    if not causes:
        return (
            "code and versions of packages are those of the reference: either a file was changed "
            f"afterwards, or portable numerics fail on this processor "
            f"({', '.join(here.processor)}), which is a defect to report"
        )
    return f"likely cause: {', or '.join(causes)}"


def _versions_that_differ(here: Origin, reference: Origin) -> list[str]:
    """Return ``torch 2.14 here, 2.15 in the reference`` for each package, Python last."""

    def found(origin: Origin, package: str) -> list[str]:
        return sorted({versions.get(package, "none") for versions in origin.versions})

    names = sorted({name for each in (here, reference) for v in each.versions for name in v})
    pairs = [(name, found(here, name), found(reference, name)) for name in names]
    pairs.append(("python", here.python, reference.python))
    return [
        f"{name} {', '.join(ours)} here, {', '.join(theirs)} in the reference"
        for name, ours, theirs in pairs
        if ours != theirs
    ]


def _code(origin: Origin) -> str:
    edited = " with uncommitted changes" if any(origin.dirty) else ""
    return f"commit {', '.join(origin.commit)}{edited}"
