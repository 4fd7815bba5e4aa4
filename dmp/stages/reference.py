"""The committed results of a scale: numbers of runs, and the pages that follow from them."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dmp import seals
from dmp.config import from_file
from dmp.errors import DMPError
from dmp.files import NO_ADVICE, write_json
from dmp.stages.numbers import Numbers, convergence_config, read_numbers, write_numbers
from dmp.stages.origin import Origin, Published, Seeds
from dmp.studies import Plan

COMPARISONS = "-comparisons"
_DAMAGED = "the reference is damaged"
# The tables that no run has.
COUNTS, TIMES = "parameters.csv", "speed.csv"


@dataclass(frozen=True)
class Reference:
    """What a folder of committed results holds; each file is read when it is first asked for."""

    folder: Path

    @cached_property
    def published(self) -> Published:
        """Where the numbers come from, and the seeds of each study."""
        path = self.folder / "provenance.json"
        with self.damaged():
            return from_file(Published, path, NO_ADVICE)

    @property
    def origin(self) -> Origin:
        """Where the numbers come from."""
        return self.published.origin

    @property
    def seeds(self) -> dict[str, Seeds]:
        """The seeds of each study, and of the claims."""
        return self.published.seeds

    @cached_property
    def numbers(self) -> Numbers:
        """The numbers of all runs."""
        with self.damaged():
            return read_numbers(self.folder / "numbers")

    def single_claims(self, plan: Plan, page: str) -> dict[str, Seeds]:
        """Return the seeds of those claims of a page that were published one by one."""
        pages = plan.judged_one_by_one
        return {name: own for name, own in self.seeds.items() if pages.get(name) == page}

    def of(self, plan: Plan, study: str, seeds: Seeds | None = None) -> Numbers:
        """Return the numbers of a study, or of the claims, with its seeds or with some of them.

        With all seeds of claims, those are among them that single claims have beyond.

        Raises:
            DMPError: a run of it is missing, so that its cells would have unequal seeds.
        """
        asked = {study: seeds or self.seeds[study]}
        asked |= self.single_claims(plan, study) if seeds is None else {}
        runs = sorted({run for name, own in asked.items() for run in own.of(plan).runs(name)})
        trained = {each for name, own in asked.items() for each in own.of(plan).baselines(name)}
        found = self.numbers.part(runs, sorted(trained))
        absent = set(runs) - set(found.runs())
        if absent:
            task, variant, seed = min(absent)
            raise DMPError(
                f"{self.folder} lacks {len(absent)} runs of its studies, first "
                f"{task}/{variant}/seed{seed}; publish them, or start anew with --replace"
            )
        return found

    @property
    def sealed(self) -> bool:
        """Whether its files have seals beside them; those of earlier versions have none."""
        return seals.beside(self.folder / "provenance.json").exists()

    @contextlib.contextmanager
    def damaged(self) -> Generator[None]:
        """Add to an error in a file of the reference what to do."""
        try:
            yield
        except DMPError as error:
            if str(error).startswith(_DAMAGED):
                raise
            raise DMPError(
                f"{_DAMAGED}: {error}. Restore it with: git checkout -- {self.folder}"
            ) from error

    def write(self, published: Published, numbers: Numbers) -> None:
        """Write numbers, and where they come from."""
        write_numbers(numbers, self.folder / "numbers")
        write_json(self.folder / "provenance.json", published.model_dump())


def outdated(plan: Plan, numbers: Numbers) -> str:
    """Return why numbers are not those of the plan's configurations, or nothing if they are."""
    for (task, variant, seed), config in numbers.configurations().items():
        where = f"{task}/{variant}/seed{seed}"
        try:
            expected = plan.run(task, variant, seed).hash
        except DMPError as error:
            return f"{where} cannot be run any more ({error})"
        if config != expected:
            return f"{where} is of configuration {config}, and the present one is {expected}"
    columns = (numbers.baselines[name] for name in ("task", "baseline_seed", "config"))
    for task, seed, config in zip(*columns, strict=True):
        expected = convergence_config(plan, task, seed)
        if config != expected:
            return (
                f"the convergence of baseline {task}/seed{seed} is of configuration {config}, and "
                f"the present one is {expected}"
            )
    return ""
