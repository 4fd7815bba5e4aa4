"""How far the gate is from using all prompts alike, over timesteps and over training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmp.config import Strict
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.registry import register_figure
from dmp.reporting.figures.style import WIDTH, Look, empty_figure, finish, looks
from dmp.reporting.figures.variants import draw_arms
from dmp.statistics.arms import Arm
from dmp.studies.schema import Study

METRIC = "prompts_used"
_THIN: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.6}
_UNTRAINED = (0, (4, 2))


@register_figure("entropy", title="How evenly the gate uses its prompts", files=True)
def entropy(study: Study, data: FigureData, task: str, options: Strict) -> Figure:
    """Draw ln K − H of the weights over K prompts: left over timesteps, right over training.

    Left, the trained gate of each seed thin and their mean thick, and the mean of the untrained
    gates dashed. Right, H is the mean entropy that the log has of the batch's timesteps; where
    gates have several K, it has none. The axis is logarithmic: 0, all K weights alike, is far
    below.
    """
    title = f"{study.title} – {task}"
    arms, labels, notes = draw_arms(study, data, task, METRIC, "timestep", required=False)
    if not arms:
        return empty_figure(title, data.scale, [*notes, "No run has a gate with weights."])
    untrained = draw_arms(study, data, task, METRIC, "untrained", required=False).arms
    look = looks(cell.variant for cell in study.cells if cell.task == task)
    result = Figure(figsize=(WIDTH, 2.6))
    left, right = result.subplots(1, 2, sharey=True)
    for name, arm in arms.items():
        _draw_timesteps(left, arm, untrained.get(name), look[name], labels[name])
        if not _draw_training(right, data, arm, look[name], labels[name]):
            notes.append(f"{labels[name]}: no log of the training has the gate's entropy.")
    left.set_yscale("log")
    left.set_xlabel("Timestep (0 = least noise)")
    left.set_ylabel("ln N − entropy / nats")
    left.set_title("After training")
    right.set_xlabel("Iterations of further training")
    right.set_title("During training, over the batch's timesteps")
    # Each line is named once, to the right of both panels.
    named = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    right.legend(named.values(), named.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5))
    seeds = max(len(arm.values) for arm in arms.values())
    notes.append(
        f"{seeds} seeds thin, their mean thick. The gate is recorded on held-out images. The "
        f"lower, the more alike the weights: 0, below any axis, where all N are equal; ln N where "
        f"one prompt has all the weight."
    )
    return finish(result, title, data.scale, notes)


def _gap(used: pd.Series) -> np.ndarray:
    """Return ln K − H of the share exp(H)/K; what rounding takes to 0 or below is not drawn."""
    gap = -np.log(used)
    return np.where(gap > 0, gap, np.nan)


def _draw_timesteps(axes: Axes, arm: Arm, untrained: Arm | None, look: Look, label: str) -> None:
    for _, values in arm.values.iterrows():
        axes.plot(arm.values.columns, _gap(values), color=look.color, **_THIN)
    mean = arm.estimates()["mean"]
    axes.plot(
        mean.index, _gap(mean), color=look.color, marker=look.marker, label=f"{label}, trained"
    )
    if untrained is not None:
        mean = untrained.estimates()["mean"]
        name = f"{label}, untrained"
        axes.plot(mean.index, _gap(mean), color=look.color, linestyle=_UNTRAINED, label=name)


def _draw_training(axes: Axes, data: FigureData, arm: Arm, look: Look, label: str) -> bool:
    """Draw the shares that the logs have; return whether there are any."""
    prompts = _prompts(data, arm)
    if prompts is None:
        return False
    logs = {seed: data.entropy_log(arm.task, arm.variant, seed) for seed in arm.values.index}
    logs = {seed: np.exp(log) / prompts for seed, log in logs.items() if len(log)}
    for log in logs.values():
        axes.plot(log.index, _gap(log), color=look.color, **_THIN)
    if logs:
        # The mean is over iterations that all seeds have logged.
        mean = pd.DataFrame(logs).dropna().mean(axis="columns")
        axes.plot(mean.index, _gap(mean), color=look.color, label=f"{label}, mean over seeds")
    return bool(logs)


def _prompts(data: FigureData, arm: Arm) -> int | None:
    """Return K, how many prompts the gates choose from; None where that is not one number."""
    gates = (data.gate(arm.task, arm.variant, seed) for seed in arm.values.index)
    found = {gate.values.shape[2] for gate in gates if gate is not None}
    return found.pop() if len(found) == 1 else None
