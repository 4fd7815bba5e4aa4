"""Images: variants side by side from the same noise (Fig. 6), and one class each (Figs. 7-10)."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field, PositiveInt

from dmp.config import Strict
from dmp.errors import DMPError
from dmp.reporting.figures.arms import cells_of, label, listed
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.registry import figure
from dmp.reporting.figures.style import WIDTH, empty_figure, finish

_EDGE = 8


class SamplesOptions(Strict):
    """Options of ``samples``.

    Attributes:
        columns: how many samples of each variant.

    """

    columns: PositiveInt = Field(default=12, le=12)


class ClassesOptions(Strict):
    """Options of ``classes``.

    Attributes:
        variant: whose samples.
        classes: a panel for each of these labels.

    """

    variant: str
    classes: list[int] = Field(min_length=1)


@figure("samples", SamplesOptions)
def samples(study: Any, data: FigureData, task: str, options: SamplesOptions) -> Figure:
    """Draw the first samples of each variant; a column starts from one and the same noise.

    The seed is the first for which every variant of the task has samples, or else the first for
    which any has.
    """
    title = f"{study.title} – {task}"
    cells, notes = cells_of(study, task)
    found = {s: {c.variant: data.images(task, c.variant, s) for c in cells} for s in data.seeds}
    counts = {s: sum(i is not None for i in images.values()) for s, images in found.items()}
    if not counts or not max(counts.values()):
        return empty_figure(title, data.scale, [*notes, "No run has samples."])
    seed = max(counts, key=lambda s: (counts[s], -data.seeds.index(s)))
    rows = [(cell, found[seed][cell.variant]) for cell in cells]
    lacking = [label(cell) for cell, images in rows if images is None]
    notes += [f"{name} is left out: it has no samples of seed {seed}." for name in lacking]
    rows = [(cell, images) for cell, images in rows if images is not None]
    count = min(options.columns, *(len(images) for _, images in rows))
    labels = data.labels(task, rows[0][0].variant, seed)
    for cell, _ in rows:
        if not np.array_equal(data.labels(task, cell.variant, seed)[:count], labels[:count]):
            raise DMPError(
                f"study {study.id}: task {task}, seed {seed}: samples of {cell.variant} and "
                f"{rows[0][0].variant} have different labels; they cannot be compared one by one"
            )
    result = Figure(figsize=(WIDTH, 0.5 * len(rows) + 0.1))
    grid = result.subplots(len(rows), count, squeeze=False)
    for line, (cell, images) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images[:count], strict=True):
            show(axes, image)
        line[0].set_ylabel(label(cell), rotation=0, ha="right", va="center")
    if len(set(labels.tolist())) > 1:
        for axes, number in zip(grid[0], labels, strict=False):
            axes.set_title(str(number), fontsize=7)
        notes.append("Above each column: the class, or the number of the caption.")
    notes.append(
        f"The first {count} samples of seed {seed}, not selected; the samples of a column start "
        f"from the same noise. Pixels are enlarged without smoothing."
    )
    return finish(result, title, data.scale, notes)


@figure("classes", ClassesOptions)
def classes(study: Any, data: FigureData, task: str, options: ClassesOptions) -> Figure:
    """Draw a panel of 8 by 8 samples for each class, in the order in which they were sampled.

    Where one seed has fewer samples of a class than a panel holds, the next seeds fill it up.
    """
    title = f"{study.title} – {task}"
    cells, notes = cells_of(study, task)
    cells = [cell for cell in cells if cell.variant == options.variant]
    found = {}
    if cells:
        pictures = {seed: data.images(task, options.variant, seed) for seed in data.seeds}
        found = {seed: images for seed, images in pictures.items() if images is not None}
    if not found:
        return empty_figure(title, data.scale, [*notes, f"{options.variant} has no samples."])
    labels = {seed: data.labels(task, options.variant, seed) for seed in found}
    chosen = {number: _first(found, labels, number) for number in options.classes}
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
        if len(images) < _EDGE**2:
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
    images: dict[int, np.ndarray], labels: dict[int, np.ndarray], number: int
) -> tuple[np.ndarray, list[int]]:
    """Return up to 64 samples with one label, and the seeds that they come from."""
    parts, seeds, room = [], [], _EDGE**2
    for seed, own in images.items():
        part = own[labels[seed] == number][:room]
        if len(part):
            parts.append(part)
            seeds.append(seed)
            room -= len(part)
    return (np.concatenate(parts) if parts else np.empty((0, 1, 1, 1), np.uint8)), seeds


def montage(images: np.ndarray) -> np.ndarray:
    """Return (n, C, H, W) images, n up to 64, as one (C, 8 (H + 1) - 1, 8 (W + 1) - 1) picture.

    They fill it row by row; what is left over, and a pixel between any two, is white.
    """
    channels, height, width = images.shape[1:]
    canvas = np.full(
        (channels, _EDGE * (height + 1) - 1, _EDGE * (width + 1) - 1), 255, dtype=np.uint8
    )
    for index, image in enumerate(images):
        top, left = index // _EDGE * (height + 1), index % _EDGE * (width + 1)
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def show(axes: Axes, image: np.ndarray) -> None:
    """Draw a (C, H, W) uint8 image; a grey one as it stands, not stretched to its own range."""
    grey = image.shape[0] == 1
    # Enlarged here: some viewers of SVG and PDF smooth small pictures.
    factor = max(1, math.ceil(256 / image.shape[1]))
    large = image.repeat(factor, axis=1).repeat(factor, axis=2)
    picture = large[0] if grey else large.transpose(1, 2, 0)
    axes.imshow(picture, cmap="gray" if grey else None, vmin=0, vmax=255)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
