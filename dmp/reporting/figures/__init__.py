"""Figures of studies and of claims, as SVG and PNG; pure functions of their input. No torch.

Read in this order: :mod:`~dmp.reporting.figures.data` (what is drawn),
:mod:`~dmp.reporting.figures.registry` (how a kind of figure is registered and written),
:mod:`~dmp.reporting.figures.kinds` (one file per kind), :mod:`~dmp.reporting.figures.style` (how
they look). :mod:`~dmp.reporting.figures.claims` draws the verdicts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from dmp.config import Strict, from_data, nearest
from dmp.errors import DMPError
from dmp.registry import Registry
from dmp.studies.schema import FigureSpec, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# (study, data, task, options) to a figure; options are of the class that the kind declares.
Draw = Callable[..., "Figure"]


class Kind(NamedTuple):
    """A kind of figure.

    Attributes:
        options: what it takes.
        title: what reports call it.
        files: whether it draws files of runs, such as samples, beside their numbers.
    """

    draw: Draw
    options: type[Strict]
    title: str
    files: bool = False


# A new kind is one file in the folder, or in another package that has it as an entry point.
KINDS: Registry[Kind] = Registry("dmp.reporting.figures.kinds", "dmp.figures")


def check_figures(study: Study, options: bool = True) -> list[tuple[FigureSpec, Strict, str]]:
    """Return a study's figures with their validated options, and where each stands.

    Args:
        options: False to check the kinds' names alone, and return nothing: what draws a kind, and
            says what it takes, is imported then, which takes a while.

    Raises:
        DMPError: a kind is not known, an option is not accepted, or the study has no such variant.
    """
    checked = []
    for number, spec in enumerate(study.figures):
        where = f"study {study.id}: figures.{number}"
        KINDS.check(spec.kind, f"{where}.kind")
        if not options:
            continue
        found = from_data(KINDS.get(spec.kind, where).options, spec.options, f"{where}.options")
        variant, known = getattr(found, "variant", None), {cell.variant for cell in study.cells}
        if variant is not None and variant not in known:
            raise DMPError(f"{where}.options.variant = '{variant}': {nearest(variant, known)}")
        checked.append((spec, found, where))
    return checked
