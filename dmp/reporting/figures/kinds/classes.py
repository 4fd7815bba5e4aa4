"""Samples of one class each (Figs. 7-10)."""

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
from dmp.reporting.figures.variants import cells_of, label
from dmp.statistics.arms import listed
from dmp.studies.schema import Study


class ClassesOptions(Strict):
    """Options of ``classes``.

    Attributes:
        variant: whose samples.
        classes: a panel for each of these labels.

    """

    variant: str
    classes: list[Annotated[int, Field(ge=0, le=10**9)]] = Field(min_length=1, max_length=100)


@register_figure("classes", ClassesOptions, files=True)
def classes(study: Study, data: FigureData, task: str, options: ClassesOptions) -> Figure:
    """Draw a panel of 8 by 8 samples for each class, in the order in which they were sampled.

    Where one seed has fewer samples of a class than a panel holds, the next seeds fill it up.
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
    chosen = {number: _first(found, number) for number in options.classes}
    across = min(2 if len(chosen) in (2, 4) else 3, len(chosen))
    down = math.ceil(len(chosen) / across)
    result = Figure(figsize=(WIDTH, down * (WIDTH / across + 0.25)))
    grid = result.subplots(down, across, squeeze=False).reshape(-1)
    used = set()
    for axes, (number, (images, seeds)) in zip(grid, chosen.items(), strict=False):
        axes.set_title(f"class {number}")
        if len(images):
            show(axes, montage(images))
            used.update(seeds)
        else:
            axes.text(0.5, 0.5, "no samples", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
        if len(images) < EDGE**2:
            notes.append(f"Class {number}: there are only {len(images)} samples.")
    for axes in grid[len(chosen) :]:
        axes.remove()
    seeds = listed(sorted(used)) if used else "no seed"
    notes.append(
        f"Samples of {label(cells[0])}, {seeds}, in the order "
        f"of sampling, not selected. Pixels are enlarged without smoothing."
    )
    return finish(result, title, data.scale, notes)


def _first(
    found: dict[int, tuple[np.ndarray, np.ndarray]], number: int
) -> tuple[np.ndarray, list[int]]:
    """Return up to 64 samples with one label, and the seeds that they come from."""
    parts, seeds, room = [], [], EDGE**2
    for seed, (images, labels) in found.items():
        part = images[labels == number][:room]
        if len(part):
            parts.append(part)
            seeds.append(seed)
            room -= len(part)
    return (np.concatenate(parts) if parts else np.empty((0, 1, 1, 1), np.uint8)), seeds
