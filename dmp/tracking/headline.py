"""What a study came to, from the numbers beside its tables, as MLflow can hold it."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from dmp.metrics.registry import find_metric
from dmp.statistics.formatting import format_interval
from dmp.statistics.results import read_csv

# Of all that tables hold: a run of MLflow should stay readable.
METRICS = ("fid", "denoising_mse")
_PAIR = ("task", "variant", "against")


def differences(path: Path) -> dict[tuple[str, ...], str]:
    """Return a sentence for each comparison of ``<study>-comparisons.csv``: task, variant, against.

    A comparison that has not been made has none, and a file that is not there none at all.

    Raises:
        DMPError: the file is not such a table.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for pair, metric, numbers in _rows(path, _PAIR, ("mean", "t_low", "t_high")):
        label = find_metric(metric).label
        found.setdefault(pair, []).append(f"Δ {label} {format_interval(*numbers)}")
    return {pair: ", ".join(texts) for pair, texts in found.items()}


def numbers(tables: Path, study: str) -> dict[str, float]:
    """Return means and differences of a study with the bounds of their intervals, by metric's name.

    ``mean/fid/unconditional/dmp`` and ``difference/fid/unconditional/dmp - baseline``, each also
    with ``/low`` and ``/high`` where it has an interval. What MLflow's names cannot hold is ``_``.

    Raises:
        DMPError: a file is not such a table.
    """
    cells = _rows(tables / f"{study}.csv", ("task", "variant"), ("mean", "low", "high"))
    pairs = _rows(tables / f"{study}-comparisons.csv", _PAIR, ("mean", "t_low", "t_high"))
    named = [(f"mean/{metric}/{'/'.join(names)}", values) for names, metric, values in cells]
    named += [
        (f"difference/{metric}/{task}/{variant} - {against}", values)
        for (task, variant, against), metric, values in pairs
    ]
    return {
        re.sub(r"[^\w./: -]", "_", name, flags=re.ASCII) + suffix: value
        for name, values in named
        for suffix, value in zip(("", "/low", "/high"), values, strict=True)
        if not math.isnan(value)
    }


def _rows(
    path: Path, names: tuple[str, ...], values: tuple[str, str, str]
) -> Iterator[tuple[tuple[str, ...], str, tuple[float, float, float]]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        head = file.readline()
    if "metric" not in head.split(","):
        return  # of a study that counts parameters
    table = read_csv(path, dict.fromkeys((*names, "metric", *values), str))
    for row in table.to_dict("records"):
        if row["metric"] in METRICS and row[values[0]]:
            mean, low, high = (float(row[name] or "nan") for name in values)
            yield tuple(row[name] for name in names), row["metric"], (mean, low, high)
