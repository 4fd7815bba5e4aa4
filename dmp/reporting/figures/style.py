"""How all figures look, and how they are written.

Colours are Okabe and Ito's, which the colour-blind can tell apart; dashes and markers differ too,
so that grey print can be read.
"""

import functools
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

from dmp.files import atomic_path
from dmp.studies.schema import Scale

WIDTH = 6.9
"""Inches: the text width of a page."""
GREY = "0.45"
_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.titlesize": 9,
    "figure.dpi": 100,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "figure.constrained_layout.use": True,
    "axes.formatter.use_mathtext": True,
    "image.interpolation": "nearest",
    # Identifiers in SVG that are the same every time.
    "svg.hashsalt": "dmp",
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)))
_METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
# Points per line of the notes, with its leading, in inches.
_LINE = 0.135
_COLUMNS = 138

P = ParamSpec("P")
R = TypeVar("R")


class Look(NamedTuple):
    """How a variant is drawn, in every figure alike."""

    color: str
    marker: str
    linestyle: Any


# A method looks the same in every figure.
_FIXED = {
    "baseline": Look("#000000", "X", (0, (1, 1))),
    "dmp": Look(_COLOURS[0], "o", "-"),
    "fine-tuning": Look(_COLOURS[1], "s", (0, (5, 1.5))),
    "prompt-tuning": Look(_COLOURS[2], "^", (0, (5, 1, 1, 1))),
    "lora": Look(_COLOURS[3], "p", (0, (8, 2))),
    "ia3": Look(_COLOURS[4], "h", (0, (1, 1))),
    "bitfit": Look(_COLOURS[5], "P", (0, (5, 1.5))),
    "adaln": Look(_COLOURS[3], "<", (0, (5, 1, 1, 1))),
    "difffit": Look(_COLOURS[4], ">", (0, (8, 2))),
    "continued": Look(_COLOURS[6], "*", (0, (5, 1, 1, 1))),
}


def looks(variants: Iterable[str]) -> dict[str, Look]:
    """Return a look for each variant of one figure; up to 84 of them all differ.

    A variant looks like its method where no other variant of that method is beside it.
    """
    distinct = list(dict.fromkeys(variants))
    methods = [variant.split(",")[0] for variant in distinct]
    found = {
        variant: _FIXED[method]
        for variant, method in zip(distinct, methods, strict=True)
        if method in _FIXED and (variant == method or methods.count(method) == 1)
    }
    # Colours of methods that are there go to other variants last.
    taken = {look.color for look in found.values()}
    free = [colour for colour in _COLOURS if colour not in taken]
    number = 0
    for variant in distinct:
        while variant not in found:
            colours = free if number < len(free) else _COLOURS
            look = Look(
                colours[number % len(colours)],
                _MARKERS[(number + 3) % len(_MARKERS)],
                _DASHES[(number + 3) % len(_DASHES)],
            )
            number += 1
            if look not in found.values():
                found[variant] = look
    return found


def method_look(variant: str) -> Look:
    """Return the look of a variant's method, for rows whose labels tell variants apart."""
    method = variant.split(",")[0]
    return _FIXED.get(method, Look(GREY, "o", "-"))


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in this style, whatever the settings of whoever calls it."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            # The stubs know a literal type of name for each setting.
            matplotlib.rcParams.update(_RC)  # ty: ignore[no-matching-overload]
            return draw(*args, **kwargs)

    return drawn


def finish(figure: Figure, title: str, scale: Scale, notes: Iterable[str] = ()) -> Figure:
    """Add the title, a warning at a scale too small for conclusions, and the notes below.

    The figure grows by what is added, so that the panels keep their size.
    """
    columns = int(_COLUMNS * figure.get_figwidth() / WIDTH)
    head = textwrap.wrap(f"{title} (scale '{scale.name}')", int(columns * 0.7))
    if not scale.conclusive:
        head.append(f"Scale '{scale.name}' is too small for any conclusion.")
    lines = [line for note in notes for line in textwrap.wrap(note, columns)]
    figure.suptitle("\n".join(head), x=0.01, ha="left")
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7, color="0.25")
    extra = 0.16 * len(head) + _LINE * len(lines) + 0.1
    figure.set_figheight(figure.get_figheight() + extra)
    return figure


@styled
def empty_figure(title: str, scale: Scale, why: Iterable[str]) -> Figure:
    """Return a figure without axes that says why there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 0.9))
    text = "\n".join(textwrap.wrap("Nothing to draw. " + " ".join(why), 100))
    figure.text(0.5, 0.3, text, ha="center", va="center")
    return finish(figure, title, scale)


@styled
def write_figure(figure: Figure, path_without_suffix: str | Path) -> list[Path]:
    """Write ``.svg`` and ``.png``, each at once or not at all; return the paths.

    Equal figures give equal bytes, of one version of matplotlib. The figure's layout is fixed from
    here on.

    Raises:
        DMPError: a file cannot be written.
    """
    base = Path(path_without_suffix)
    written = []
    # Once for all formats: it takes most of the time, and they should look the same.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for suffix, metadata in _METADATA.items():
        # Names of variants may hold dots, so that with_suffix would cut them.
        path = base.with_name(base.name + suffix)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=200 if suffix == ".png" else 300, metadata=metadata)
        written.append(path)
    return written
