"""What the gate does: weights over blocks, prompts and timesteps (Fig. 5)."""

from collections.abc import Callable

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dmp.config import Strict
from dmp.errors import DMPError
from dmp.reporting.figures.data import FigureData, Gate
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, empty_figure, finish
from dmp.reporting.figures.variants import cells_of
from dmp.statistics.arms import listed
from dmp.studies.schema import Cell, Study

_SEEDS, _BLOCKS = 3, 6
# Its luminance rises evenly, in colour, in grey and for the colour-blind.
_MAP = "cividis"
# From white in the middle, where a weight is 1/K; the colour-blind can tell its ends apart.
_DIVERGING = "PuOr_r"
# The scale of multiples never spans less than 1/1.1 to 1.1, nor more than 1/100 to 100.
_NARROWEST, _WIDEST = 1.1, 100
_WEIGHTS = (
    "weights averaged over images. Blocks are counted from the input, those with prompts only. "
    "Prompts of a seed are in one order, by their weight at the least noisy timestep, 0, over all "
    "blocks."
)
_ENTROPY = (
    "its blocks differ in the number K of prompts, so that the normalised entropy of the weights "
    "is drawn in place of the weights, 1 where all K are alike. Blocks are counted from the input. "
    "Timestep 0 is the least noisy."
)


class GateOptions(Strict):
    """Options of ``gate``.

    Attributes:
        variant: whose gate; the first variant that has one if left out.
    """

    variant: str | None = None


@register_figure("gate", GateOptions, title="Weights of the gate", files=True)
def gate(study: Study, data: FigureData, task: str, options: GateOptions) -> Figure:
    """Draw heat maps of prompts by timesteps: a column for each of six blocks, a row per seed.

    Colours are weights in multiples of 1/K, the weight that K prompts have where the gate does not
    prefer any; all maps share one scale, with 1 in its middle. The prompts of a seed are in one
    order, by their weight at the least noisy timestep. Where blocks differ in K, as in a U-Net, the
    maps are of blocks by timesteps, and colours say how evenly a block uses its prompts.
    """
    title = f"{study.title} – {task}"
    cells, notes = cells_of(study, task)
    if options.variant is not None:
        cells = [cell for cell in cells if cell.variant == options.variant]

    def first(read: Callable[[str, str, int], Gate | None]) -> tuple[dict[int, Gate], Cell | None]:
        for cell in cells:
            found = {s: g for s in data.seeds if (g := read(task, cell.variant, s)) is not None}
            if found:
                return found, cell
        return {}, None

    gates, cell = first(data.gate)
    if cell is not None:
        draw, told = _weights, _WEIGHTS
        missing = [seed for seed in data.seeds if seed not in gates]
        notes += [f"{cell.label}: {listed(missing)} missing."] if missing else []
    else:
        draw, told = _normalised_entropy, _ENTROPY
        gates, cell = first(data.normalised_entropy)
    if cell is None:
        lacking = f"No run of {options.variant or 'any variant'} has a gate's weights."
        return empty_figure(title, data.scale, [*notes, lacking])
    shown = dict(list(gates.items())[:_SEEDS])
    if len(gates) > len(shown):
        notes.append(f"{len(shown)} of {len(gates)} seeds are drawn.")
    result = draw(shown, f"{task}/{cell.variant}")
    notes.append(f"Gate of {cell.label}: {told}")
    return finish(result, title, data.scale, notes)


def _normalised_entropy(gates: dict[int, Gate], where: str) -> Figure:
    """Draw blocks by timesteps, a map for each seed: the entropy of the weights over ln K."""
    result = Figure(figsize=(WIDTH, 2.4))
    grid = result.subplots(1, len(gates), squeeze=False, sharex=True, sharey=True)[0]
    lowest = min(float(gate.values.min()) for gate in gates.values())
    # Gates that prefer nothing must look flat.
    norm = Normalize(min(lowest, 0.95), 1)
    for axes, (seed, gate) in zip(grid, gates.items(), strict=True):
        first, last, blocks = gate.timesteps[0], gate.timesteps[-1], gate.values.shape[1]
        picture = axes.imshow(
            gate.values.T, norm=norm, cmap=_MAP, aspect="auto",
            extent=(first, last, blocks + 0.5, 0.5),
        )  # fmt: skip
        axes.grid(False)
        axes.set_title(f"Seed {seed}")
        axes.set_xlabel("Timestep")
    grid[0].set_ylabel("Block")
    grid[0].yaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    bar = result.colorbar(picture, ax=list(grid), pad=0.01)
    bar.set_label("Entropy over ln K")
    bar.ax.grid(False)
    return result


def _weights(gates: dict[int, Gate], where: str) -> Figure:
    """Draw prompts by timesteps, for each seed and some blocks: weights in multiples of 1/K."""
    shapes = {gate.values.shape[1:] for gate in gates.values()}
    if len(shapes) > 1:
        raise DMPError(
            f"{where}: the gates of its seeds have blocks and prompts {sorted(shapes)}; runs of "
            f"one variant must have the same"
        )
    multiples = {
        seed: gate.values.astype(np.float64) * gate.values.shape[2] for seed, gate in gates.items()
    }
    norm, extend = colour_scale(np.concatenate([m.reshape(-1) for m in multiples.values()]))
    blocks, prompts = next(iter(gates.values())).values.shape[1:]
    count = min(_BLOCKS, blocks)
    # All blocks where there are few, else equally spaced ones with both ends.
    chosen = np.linspace(0, blocks - 1, count).round().astype(int)
    height = min(1.6, max(0.9, 0.06 * prompts))
    result = Figure(figsize=(WIDTH, 0.4 + height * len(gates)))
    grid = result.subplots(len(gates), count, squeeze=False, sharex=True, sharey=True)
    for row, (seed, gate) in zip(grid, gates.items(), strict=True):
        order = np.argsort(-multiples[seed][0].mean(axis=0), kind="stable")
        ends = gate.timesteps[0], gate.timesteps[-1]
        for axes, block in zip(row, chosen, strict=True):
            picture = axes.pcolormesh(
                gate.timesteps, np.arange(1, prompts + 1), multiples[seed][:, block, order].T,
                norm=norm, cmap=_DIVERGING, shading="nearest", rasterized=True,
            )  # fmt: skip
            axes.set(xlim=ends, ylim=(prompts + 0.5, 0.5))
            axes.grid(False)
            if gate is next(iter(gates.values())):
                axes.set_title(f"Block {block + 1}")
        row[0].set_ylabel(f"Seed {seed}\nPrompt")
    for axes in grid[-1]:
        axes.set_xlabel("Timestep")
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=1))
    grid[0, 0].yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    bar = result.colorbar(picture, ax=grid, extend=extend, pad=0.01, aspect=15 * len(gates))
    bar.set_label(f"Weight in multiples of 1/{prompts}")
    ticks = norm.inverse(np.linspace(0, 1, 5)).tolist()
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.minorticks_off()
    bar.ax.grid(False)
    return result


def colour_scale(multiples: np.ndarray) -> tuple[LogNorm, str]:
    """Return the scale of (n,) weights in multiples of 1/K, and which ends are cut off.

    Twice 1/K is as far from the middle as half of it. A gate that prefers nothing must look flat,
    and one that has all but closed on a prompt must not hide the rest.
    """
    positive = np.maximum(multiples, 1 / _WIDEST)
    ratio = float(np.exp(np.abs(np.log(positive)).max()))
    half = min(max(ratio, _NARROWEST), _WIDEST)
    return LogNorm(1 / half, half), "min" if float(multiples.min()) < 1 / half else "neither"
