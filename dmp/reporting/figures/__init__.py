"""Figures of studies and of claims, as SVG, PDF and PNG; pure functions of their input. No torch.

Read in this order: :mod:`~dmp.reporting.figures.data` (what is drawn),
:mod:`~dmp.reporting.figures.registry` (the kinds of figures, and where they are written),
:mod:`~dmp.reporting.figures.style` (how they look). A new kind is one function with ``@figure`` in
a module that is listed below. :mod:`~dmp.reporting.figures.claims` draws the verdicts.
"""

from dmp.reporting.figures import (  # noqa: F401  registers the kinds
    curve,
    denoising,
    entropy,
    gate,
    ordered,
    samples,
)
from dmp.reporting.figures.claims import forest, paper_against_ours
from dmp.reporting.figures.data import FigureData, Gate
from dmp.reporting.figures.registry import FIGURES, figure, write_figures
from dmp.reporting.figures.style import write_figure

__all__ = [
    "FIGURES",
    "FigureData",
    "Gate",
    "figure",
    "forest",
    "paper_against_ours",
    "write_figure",
    "write_figures",
]
