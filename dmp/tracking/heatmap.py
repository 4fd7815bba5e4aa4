"""A gate as a picture, small and quickly drawn, to be seen beside its run; no torch."""

import functools
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dmp.errors import DMPError

# Weights in multiples of an even one. Studies have figures of their own with fitted scales; here
# all runs share one, so that they can be compared at a glance.
_LOW, _HIGH = 0.25, 4.0


def gate_picture(path: Path) -> bytes | None:
    """Draw ``gate.npz`` as a PNG: timesteps by prompts, block above block.

    Colours are weights in multiples of 1/K, the weight that K prompts have where the gate does not
    prefer any, on one logarithmic scale for all runs.

    Args:
        path: holds ``timesteps`` ``(S,)`` and ``weights`` ``(S, L, K)``; or, where blocks differ in
            K, ``weights_0`` and so on, ``(S, K_i)``.

    Returns:
        None for a run whose gate has no weights.

    Raises:
        DMPError: the file cannot be read, or its shapes do not fit together.

    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DMPError(
            f"{path} is not a readable .npz file ({error}); delete it and run again"
        ) from error
    if "timesteps" not in arrays:
        return None
    timesteps = arrays["timesteps"]
    if "weights_0" in arrays:
        count = sum(name.startswith("weights_") for name in arrays)
        by_block = [arrays[f"weights_{block}"][:, None] for block in range(count)]
    elif "weights" in arrays:
        by_block = [arrays["weights"]]
    else:
        return None
    for weights in by_block:
        _check(path, timesteps, weights)
    blocks = sum(weights.shape[1] for weights in by_block)
    return _draw([multiples(weights) for weights in by_block], timesteps, blocks)


def _check(path: Path, timesteps: np.ndarray, weights: np.ndarray) -> None:
    if weights.ndim != 3 or timesteps.shape != weights.shape[:1]:
        raise DMPError(
            f"{path}: weights {weights.shape} do not fit timesteps {timesteps.shape}; (S, L, K) "
            f"and (S,) are needed"
        )


def multiples(weights: np.ndarray) -> np.ndarray:
    """Return (L · K, S) weights in multiples of 1/K: all prompts of the first block come first."""
    steps, blocks, prompts = weights.shape
    return weights.astype(np.float64).reshape(steps, blocks * prompts).T * prompts


def _draw(bands: list[np.ndarray], timesteps: np.ndarray, blocks: int) -> bytes:
    """Draw bands of equal height, each ``(prompts, S)``, one below the other."""
    frame, (top, left, height, width), colours = _frame(
        blocks, float(timesteps[0]), float(timesteps[-1])
    )
    picture = frame.copy()
    # Mixed colours where there are more prompts than pixels, blocks of one where there are fewer.
    for number, values in enumerate(bands):
        start, end = (round(n * height / len(bands)) for n in (number, number + 1))
        cells = Image.fromarray(np.ascontiguousarray(colours(values)[..., :3]))
        fitted = np.asarray(cells.resize((width, end - start), Image.Resampling.BOX))
        picture[top + start : top + end, left : left + width] = fitted
    for block in range(1, blocks):
        picture[top + round(block * height / blocks), left : left + width] = 255
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


@functools.cache
def _frame(blocks: int, first: float, last: float) -> tuple[np.ndarray, tuple, Callable]:
    """Draw axes and colour bar, which takes a tenth of a second, once for all gates of a kind.

    Returns:
        ``(H, W, 3)`` uint8; top, left, height and width of the empty axes in pixels; and the
        function from values to colours, uint8 with alpha.

    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, ScalarFormatter

    figure = Figure(figsize=(5, 3.6), dpi=100)
    axes = figure.add_axes((0.1, 0.13, 0.72, 0.84))
    axes.set(xlim=(first, last), ylim=(blocks + 0.5, 0.5))
    axes.set(xlabel="Timestep (0: the least noisy)", ylabel="Block, and the prompts in it")
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    colours = ScalarMappable(LogNorm(_LOW, _HIGH, clip=True), "cividis")
    bar = figure.colorbar(colours, cax=figure.add_axes((0.84, 0.13, 0.03, 0.84)), extend="both")
    bar.set_label("Weight in multiples of an even one")
    bar.ax.yaxis.set_major_locator(FixedLocator([_LOW, 0.5, 1, 2, _HIGH]))
    bar.ax.yaxis.set_major_formatter(ScalarFormatter())
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    frame = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    box = axes.get_window_extent()
    place = (
        round(frame.shape[0] - box.y1),
        round(box.x0),
        round(box.y1) - round(box.y0),
        round(box.x1) - round(box.x0),
    )
    return frame, place, functools.partial(colours.to_rgba, bytes=True)
