"""The first samples of variants side by side, from the same noise (Fig. 6)."""

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field

from dmp.config import Strict
from dmp.errors import DMPError
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.pictures import show
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, empty_figure, finish
from dmp.reporting.figures.variants import cells_of, label
from dmp.studies.schema import Study


class SamplesOptions(Strict):
    """Options of ``samples``.

    Attributes:
        columns: how many samples of each variant.

    """

    columns: int = Field(default=12, ge=1, le=12)


@register_figure("samples", SamplesOptions, files=True)
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
            notes.append(f"{label(cell)} is left out: it has no samples of seed {seed}.")
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
    result = Figure(figsize=(WIDTH, 0.5 * len(rows) + 0.1))
    grid = result.subplots(len(rows), count, squeeze=False)
    for line, (cell, images, _) in zip(grid, rows, strict=True):
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
