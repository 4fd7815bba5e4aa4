"""Figures of studies and of claims, as SVG and PNG; pure functions of their input. No torch.

Read in this order: :mod:`~dmp.reporting.figures.data` (what is drawn),
:mod:`~dmp.reporting.figures.registry` (how a kind of figure is registered and written),
:mod:`~dmp.reporting.figures.kinds` (one file per kind), :mod:`~dmp.reporting.figures.style` (how
they look). :mod:`~dmp.reporting.figures.claims` draws the verdicts.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from dmp.config import Strict
from dmp.registry import Registry
from dmp.studies.schema import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# (study, data, task, options) to a figure; options are of the class that the kind declares.
Draw = Callable[..., "Figure"]


class Kind(NamedTuple):
    """A kind of figure.

    Attributes:
        draw: draws it for one task of a study.
        options: what it takes.
        files: whether it draws files of runs, such as samples, beside their numbers.

    """

    draw: Draw
    options: type[Strict]
    files: bool = False


# A new kind is one file in the folder, or in another package that has it as an entry point.
KINDS: Registry[Kind] = Registry("dmp.reporting.figures.kinds", "dmp.figures")


def check_kinds(studies: Iterable[Study]) -> None:
    """Check that the kinds of figures exist, without importing what draws them.

    Raises:
        DMPError: one does not.

    """
    for study in studies:
        for number, spec in enumerate(study.figures):
            KINDS.check(spec.kind, f"study {study.id}: figures.{number}.kind")
