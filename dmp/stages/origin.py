"""What made a set of runs, and whether two sets must have the same bits; no torch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, model_validator

from dmp.config import from_data
from dmp.errors import DMPError
from dmp.files import read_json
from dmp.numerics import X86_64, processor

PORTABLE, NATIVE = "portable", "native"


def _architecture(machine: str) -> str:
    """Return the architecture of a machine such as ``Linux x86_64, cpu``."""
    words = machine.split(",")[0].split()
    return words[-1] if words else "unknown"


class Record(BaseModel):
    """The ``provenance.json`` of one run, as far as it is used here.

    Records without ``numerics`` are of native runs, made before there was another kind.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    commit: str
    dirty: bool
    machine: str
    device: str
    python: str
    versions: dict[str, str]
    libc: str = ""
    numerics: str = NATIVE
    architecture: str = ""
    started: str
    finished: str

    @property
    def processor_family(self) -> str:
        """The architecture, from the machine's name in records that do not state it."""
        return self.architecture or _architecture(self.machine)


class Origin(BaseModel):
    """What made the runs of a scale: every distinct value, and from when to when.

    Attributes:
        processor: of the machine that gathered them.
        runs: how many there are.
        first_seed, seeds: the seeds of every variant.
        (others): see :mod:`dmp.stages.provenance`.

    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    commit: list[str]
    dirty: list[bool]
    machine: list[str]
    device: list[str]
    python: list[str]
    versions: list[dict[str, str]]
    libc: list[str] = []
    numerics: list[str] = [NATIVE]
    architecture: list[str] = []
    processor: str
    first_seed: NonNegativeInt = 0
    seeds: PositiveInt
    baseline_seeds: PositiveInt
    runs: PositiveInt
    started: str
    finished: str

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        for name in ("commit", "machine", "numerics", "versions"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        return self

    @property
    def architectures(self) -> list[str]:
        """The architectures, from the machines' names where they are not stated."""
        return self.architecture or sorted({_architecture(name) for name in self.machine})


def read_record(path: Path) -> Record:
    """Read the ``provenance.json`` of a run.

    Raises:
        DMPError: it is missing or damaged.

    """
    return from_data(Record, read_json(path), str(path))


def origin_of(
    records: Sequence[Record],
    baselines: Sequence[Record],
    first_seed: int,
    seeds: int,
    baseline_seeds: int,
) -> Origin:
    """Return what made some runs, at least one, and the baselines that they rest on."""
    every = [*records, *baselines]

    def distinct(name: str) -> list:
        return sorted({getattr(record, name) for record in every})

    versions = {tuple(sorted(record.versions.items())) for record in every}
    return Origin(
        **{name: distinct(name) for name in ("commit", "dirty", "machine", "device", "python")},
        versions=[dict(items) for items in sorted(versions)],
        libc=[name for name in distinct("libc") if name],
        numerics=distinct("numerics"),
        architecture=distinct("processor_family"),
        processor=f"{os.cpu_count()} × {processor()}",
        first_seed=first_seed,
        seeds=seeds,
        baseline_seeds=baseline_seeds,
        runs=len(records),
        started=min(record.started for record in every),
        finished=max(record.finished for record in every),
    )


def read_origin(path: Path) -> Origin:
    """Read what made a reference.

    Raises:
        DMPError: the file is missing or damaged.

    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DMPError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DMPError(f"{path} is not valid JSON ({error})") from error
    return from_data(Origin, data, str(path))


def why_not_bits(here: Origin, reference: Origin) -> str:
    """Return why two sets of runs need not have the same bits, or nothing if they must."""
    reasons = []
    for name, origin in (("this run", here), ("the reference", reference)):
        others = [value for value in origin.numerics if value != PORTABLE]
        if others:
            part = "in part " if PORTABLE in origin.numerics else ""
            reasons.append(f"{name} is {part}{', '.join(others)}")
        foreign = [value for value in origin.architectures if value not in X86_64]
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
            f"afterwards, or portable numerics fail on this processor ({here.processor}), which "
            "is a defect to report"
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
