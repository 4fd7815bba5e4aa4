"""Metric histories from what evaluation and convergence leave; values stay as they stand there."""

from pathlib import Path

import numpy as np

from dmp.arrayfile import load_arrays
from dmp.errors import DMPError
from dmp.files import NO_ADVICE, read_json, understood
from dmp.runlog import Point
from dmp.statistics.results import ALL_TIMESTEPS, read_csv

_COLUMNS: dict[str, type] = {"metric": str, "bin": str, "iteration": int, "value": float}


def read_metrics(path: Path, time_ms: int, step: int) -> list[Point]:
    """Read ``metrics.csv``: ``final/fid``, and ``final/denoising_mse/0-99`` for a bin.

    What was measured before the last iteration is the history ``curve/fid``, from there to the
    last; not in bins of timesteps, whose charts would hide all others.

    Raises:
        DMPError: a column is missing, a value is not a number, or a metric is listed twice at one
            iteration: MLflow would keep one of the two and not say which.
    """
    if not path.is_file():
        return []
    histories: dict[str, dict[int, float]] = {}
    rows = read_csv(path, _COLUMNS)[list(_COLUMNS)].itertuples(index=False, name=None)
    for metric, part, iteration, value in rows:
        name = metric if part == ALL_TIMESTEPS else f"{metric}/{part}"
        history = histories.setdefault(name, {})
        if iteration in history:
            raise DMPError(f"{path}: {name} is listed twice at iteration {iteration}")
        history[iteration] = value
    last = max((iteration for history in histories.values() for iteration in history), default=0)
    points = []
    for name, history in histories.items():
        if last in history:
            points.append(Point(f"final/{name}", history[last], time_ms, step))
        if set(history) != {last} and "/" not in name:
            points += [
                Point(f"curve/{name}", value, time_ms, iteration)
                for iteration, value in sorted(history.items())
            ]
    return points


def read_gate(path: Path, time_ms: int) -> list[Point]:
    """Read ``gate.npz``: ln N − H over the timesteps, ``curve/ln N - entropy over timesteps``.

    H is the entropy of the gate's weights over N prompts, in nats, averaged over blocks: 0 where
    all prompts are used alike. MLflow draws a step on the x-axis; here it is the timestep. Empty
    for a run without a gate.

    Raises:
        DMPError: the file is damaged, or its arrays do not fit together.
    """
    if not path.is_file():
        return []
    arrays = load_arrays(path, advice=NO_ADVICE)
    if "entropy" not in arrays:
        return []
    with understood(path, NO_ADVICE):
        prompts = [a.shape[-1] for name, a in arrays.items() if name.startswith("weights")]
        gaps = np.mean(np.log(prompts)) - arrays["entropy"]
        steps = zip(arrays["timesteps"].tolist(), gaps.tolist(), strict=True)
        name = "curve/ln N - entropy over timesteps"
        return [Point(name, float(gap), time_ms, int(step)) for step, gap in steps]


def read_convergence(path: Path, time_ms: int, step: int) -> list[Point]:
    """Read ``convergence.json``: a number as ``convergence/<key>``, true as 1 and false as 0.

    The FIDs of the checkpoints are a history over their iterations.

    Raises:
        DMPError: the file is not a JSON object, or has not as many FIDs as iterations.
    """
    if not path.is_file():
        return []
    verdict = read_json(path)
    try:
        fids = zip(verdict.pop("fids", []), verdict.pop("iterations", []), strict=True)
        history = [Point("convergence/fids", float(f), time_ms, int(i)) for f, i in fids]
        numbers = [(k, float(v)) for k, v in verdict.items() if isinstance(v, int | float)]
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise DMPError(
            f"{path} is not a JSON object with two equally long lists of numbers, fids and "
            f"iterations ({error})"
        ) from error
    return [Point(f"convergence/{k}", v, time_ms, step) for k, v in numbers] + history
