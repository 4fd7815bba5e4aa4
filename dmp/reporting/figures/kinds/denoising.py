"""How much a variant changes the denoising loss at each noise level."""

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from dmp.config import Strict
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.lines import band, legend_beside, shares
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import GREY, WIDTH, empty_figure, finish, looks
from dmp.reporting.figures.variants import BASELINE, draw_arms
from dmp.statistics.arms import Arm
from dmp.statistics.formatting import format_number
from dmp.statistics.labels import metric_label, metric_name
from dmp.studies.schema import MetricName, Study

# Beyond this ratio of sizes, a linear axis flattens the smallest line.
_LARGEST_RATIO = 30


class DenoisingOptions(Strict):
    """Options of ``denoising``.

    Attributes:
        metric: a metric with bins of timesteps.

    """

    metric: MetricName = "denoising_mse"


@register_figure("denoising", DenoisingOptions)
def denoising(study: Study, data: FigureData, task: str, options: DenoisingOptions) -> Figure:
    """Draw the paired difference to the baseline against the timestep, with 95 % t bands."""
    title = f"{study.title} – {task}"
    arms, labels, notes = draw_arms(study, data, task, options.metric, "timestep")
    baseline = arms.pop(BASELINE, None)
    if baseline is None or not arms:
        notes.append("Differences need a baseline and something to compare with it.")
        return empty_figure(title, data.scale, notes)
    differences = {name: arm.minus(baseline) for name, arm in arms.items()}
    lone = [labels[name] for name, arm in differences.items() if arm.values.empty]
    notes += [f"{name} is left out: it shares no seed with the baseline." for name in lone]
    differences = {name: arm for name, arm in differences.items() if not arm.values.empty}
    if not differences:
        return empty_figure(title, data.scale, notes)
    panels = shares(list(differences))
    look = looks(cell.variant for cell in study.cells)
    result = Figure(figsize=(WIDTH, 2.4 * len(panels)))
    grid = result.subplots(len(panels), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for axes, names in zip(grid, panels, strict=True):
        axes.axhline(0, color=GREY, linewidth=1)
        for name in names:
            band(axes, differences[name].estimates(), look[name], labels[name])
        axes.set_ylabel(f"Δ {metric_name(options.metric)}\nto baseline")
        legend_beside(axes)
    threshold = linear_threshold(differences.values())
    if threshold:
        grid[0].set_yscale("symlog", linthresh=threshold)
        # Ticks at 0 and at powers of ten beyond the linear part, where they do not collide.
        first = 10.0 ** np.ceil(np.log10(threshold))
        grid[0].yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=first))
        notes.append(
            f"The vertical axis is linear within ±{format_number(threshold)} and logarithmic "
            f"beyond."
        )
    else:
        grid[0].ticklabel_format(axis="y", scilimits=(-2, 3))
    grid[-1].set_xlabel("Timestep (0 = least noise), middle of each bin")
    if "↓" in metric_label(options.metric):
        notes.append("Below 0 is better than the baseline.")
    seeds = max(len(arm.values) for arm in differences.values())
    notes.append(
        f"Mean over {seeds} paired seeds with 95 % t bands where there is more than one unit."
    )
    return finish(result, title, data.scale, notes)


def linear_threshold(differences: Iterable[Arm]) -> float | None:
    """Return where a logarithmic axis has to begin; None where a linear axis shows every line."""
    # With its band: a line of noise around 0 is as large as the noise.
    sizes = [float(np.nanmax(np.abs(arm.estimates().to_numpy()))) for arm in differences]
    sizes = [size for size in sizes if size > 0]
    if not sizes or max(sizes) <= _LARGEST_RATIO * min(sizes):
        return None
    # The largest of 1, 2, 5, 10, ... that is not above the size of the smallest line.
    power = 10.0 ** np.floor(np.log10(min(sizes)))
    return float(power * max(step for step in (1, 2, 5) if step * power <= min(sizes)))
