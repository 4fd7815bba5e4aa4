"""The first samples of variants side by side, from the same noise, above real images (Fig. 6)."""

import textwrap

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field

from dmp.config import Strict
from dmp.errors import DMPError
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.pictures import show
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, empty_figure, finish
from dmp.reporting.figures.variants import cells_of
from dmp.studies.schema import Study


class SamplesOptions(Strict):
    """Options of ``samples``.

    Attributes:
        columns: how many samples of each variant.
    """

    columns: int = Field(default=12, ge=1, le=12)


@register_figure("samples", SamplesOptions, title="Samples from the same noise", files=True)
def samples(study: Study, data: FigureData, task: str, options: SamplesOptions) -> Figure:
    """Draw the first samples of each variant; a column starts from one and the same noise.

    The seed is the first for which every variant of the task has samples, or else the first for
    which any has.
    """
    title = f"{study.title} – {task}"
    cells, notes = cells_of(study, task)
    found = {s: {c.variant: data.samples(task, c.variant, s) for c in cells} for s in data.seeds}
    counts = {s: sum(own is not None for own in each.values()) for s, each in found.items()}
    if not counts or not max(counts.values()):
        return empty_figure(title, data.scale, [*notes, "No run has samples."])
    seed = max(counts, key=lambda s: (counts[s], -data.seeds.index(s)))
    rows = []
    for cell in cells:
        own = found[seed][cell.variant]
        if own is None:
            notes.append(f"{cell.label} is left out: it has no samples of seed {seed}.")
        else:
            rows.append((cell, *own))
    count = min(options.columns, *(len(images) for _, images, _ in rows))
    labels = rows[0][2]
    for cell, _, others in rows:
        if not np.array_equal(others[:count], labels[:count]):
            raise DMPError(
                f"study {study.id}: task {task}, seed {seed}: samples of {cell.variant} and "
                f"{rows[0][0].variant} have different labels; they cannot be compared one by one"
            )
    captions = data.captions(task)
    classes = [captions.get(label, ("", label))[1] for label in labels[:count].tolist()]
    # Without a condition all have one label, which says nothing.
    varied = len(set(labels.tolist())) > 1
    real = _real(data, task, classes if varied else None, count)
    pictures = [(cell.label, images[:count]) for cell, images, _ in rows]
    pictures += [] if real is None else [("real images", real)]
    result = Figure(figsize=(WIDTH, 0.5 * len(pictures) + 0.1))
    grid = result.subplots(len(pictures), count, squeeze=False)
    for line, (name, images) in zip(grid, pictures, strict=True):
        for axes, image in zip(line, images, strict=True):
            show(axes, image)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    if varied:
        for axes, number in zip(grid[0], labels.tolist(), strict=False):
            text = captions[number][0] if number in captions else f"class {number}"
            axes.set_title(textwrap.fill(text, 11), fontsize=5)
    which = "the first of the same classes" if varied else "evenly spaced in the data"
    told = "" if real is None else f" Real images are {which}."
    notes.append(
        f"The first {count} samples of seed {seed}, not selected; the samples of a column start "
        f"from the same noise.{told} Pixels are enlarged without smoothing."
    )
    return finish(result, title, data.scale, notes)


def _real(data: FigureData, task: str, classes: list[int] | None, count: int) -> np.ndarray | None:
    """Return the first real images of these classes, each image once; None where there are none.

    Args:
        classes: None for so many images that are evenly spaced: datasets may be sorted.
    """
    found = data.real(task)
    if found is None:
        return None
    if classes is None:
        return found.images[np.arange(count) * len(found.images) // count]
    rows = {number: iter(np.flatnonzero(found.labels == number)) for number in set(classes)}
    chosen = [next(rows[number], None) for number in classes]
    return None if None in chosen else found.images[np.array(chosen)]
