"""Samples of one class each, above real images of it (Figs. 7-10)."""

import math
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field

from dmp.config import Strict
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.pictures import EDGE, montage, show
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, empty_figure, finish
from dmp.reporting.figures.variants import cells_of
from dmp.statistics.arms import listed
from dmp.studies.schema import Study

# Rows of real images in a panel.
_REAL = 2
_RULE = "#D55E00"


class ClassesOptions(Strict):
    """Options of ``classes``.

    Attributes:
        variant: whose samples.
        classes: a panel for each of these labels.
    """

    variant: str
    classes: list[Annotated[int, Field(ge=0, le=10**9)]] = Field(min_length=1, max_length=100)


@register_figure("classes", ClassesOptions, title="Samples by class", files=True)
def classes(study: Study, data: FigureData, task: str, options: ClassesOptions) -> Figure:
    """Draw a panel of 8 by 8 images for each class: samples, and two rows of real images below.

    Samples are in the order in which they were drawn. Where one seed has fewer of a class than the
    panel holds, the next seeds fill it up. Without embedded images all rows are samples.
    """
    title = f"{study.title} – {task}"
    cells, notes = cells_of(study, task)
    cells = [cell for cell in cells if cell.variant == options.variant]
    found = {
        seed: own
        for seed in data.seeds
        if cells and (own := data.samples(task, options.variant, seed)) is not None
    }
    if not found:
        return empty_figure(title, data.scale, [*notes, f"{options.variant} has no samples."])
    real = data.real(task)
    room = EDGE**2 if real is None else EDGE * (EDGE - _REAL)
    chosen = {number: _first(found, number, room) for number in options.classes}
    across = min(2 if len(chosen) in (2, 4) else 3, len(chosen))
    down = math.ceil(len(chosen) / across)
    result = Figure(figsize=(WIDTH, down * (WIDTH / across + 0.25)))
    grid = result.subplots(down, across, squeeze=False).reshape(-1)
    used = set()
    for axes, (number, (images, seeds)) in zip(grid, chosen.items(), strict=False):
        axes.set_title(f"class {number}")
        if len(images):
            below = [] if real is None else real.images[real.labels == number][: EDGE * _REAL]
            show(axes, montage(images, below))
            if len(below):  # a line between samples and real images
                height = [_REAL / EDGE] * 2
                axes.plot([0, 1], height, transform=axes.transAxes, color=_RULE, linewidth=1.6)
            used.update(seeds)
        else:
            axes.text(0.5, 0.5, "no samples", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
        if len(images) < room:
            notes.append(f"Class {number}: there are only {len(images)} samples.")
    for axes in grid[len(chosen) :]:
        axes.remove()
    seeds = listed(sorted(used)) if used else "no seed"
    told = "" if real is None else " Below the line: real images, the first of the class."
    notes.append(
        f"Samples of {cells[0].label}, {seeds}, in the order "
        f"of sampling, not selected.{told} Pixels are enlarged without smoothing."
    )
    return finish(result, title, data.scale, notes)


def _first(
    found: dict[int, tuple[np.ndarray, np.ndarray]], number: int, room: int
) -> tuple[np.ndarray, list[int]]:
    """Return up to ``room`` samples with one label, and the seeds that they come from."""
    parts, seeds = [], []
    for seed, (images, labels) in found.items():
        part = images[labels == number][:room]
        if len(part):
            parts.append(part)
            seeds.append(seed)
            room -= len(part)
    return (np.concatenate(parts) if parts else np.empty((0, 1, 1, 1), np.uint8)), seeds
