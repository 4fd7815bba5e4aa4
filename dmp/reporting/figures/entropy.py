"""How many prompts the gate uses: its entropy over timesteps and over training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmp.reporting.figures.arms import Arm, find_arms
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.registry import NoOptions, figure
from dmp.reporting.figures.style import GREY, WIDTH, Look, empty_figure, finish, looks

METRIC = "gate_entropy"
_THIN = {"linewidth": 0.7, "alpha": 0.6}
_UNTRAINED = (0, (4, 2))


@figure("entropy")
def entropy(study: Any, data: FigureData, task: str, options: NoOptions) -> Figure:
    """Draw the gate's entropy: left over timesteps, right over the iterations of training.

    Left, the trained gate of each seed thin and their mean thick, and the mean of the untrained
    gates dashed. The dotted line is the entropy of even weights, ln K.
    """
    title = f"{study.title} – {task}"
    arms, notes = find_arms(study, data, task, METRIC, "timestep", required=False)
    if not arms:
        return empty_figure(title, data.scale, [*notes, "No run has a gate's entropy."])
    untrained, _ = find_arms(study, _at_start(data), task, METRIC, "timestep", required=False)
    look = looks(cell.variant for cell in study.cells)
    result = Figure(figsize=(WIDTH, 2.5))
    left, right = result.subplots(1, 2, sharey=True)
    for name, arm in arms.items():
        _draw_timesteps(left, arm, untrained.get(name), look[name])
        _draw_training(right, data, task, arm, look[name], notes)
    for prompts in sorted(_prompts(data, task, arms)):
        for axes in (left, right):
            axes.axhline(
                np.log(prompts), color=GREY, linestyle=(0, (1, 1)), linewidth=1,
                label=f"even weights, ln {prompts}",
            )  # fmt: skip
    left.set_xlabel("Timestep (0 = least noise)")
    left.set_ylabel("Entropy of the gate / nats")
    left.set_title("After training")
    right.set_xlabel("Iterations of further training")
    right.set_title("During training, over the batch's timesteps")
    left.margins(y=0.1)
    _legend(left, right)
    count = max(len(arm.values) for arm in arms.values())
    notes.append(f"{count} seeds thin, their mean thick. The gate is recorded on held-out images.")
    return finish(result, title, data.scale, notes)


def _at_start(data: FigureData) -> FigureData:
    """Return the data with those rows alone that were measured before training."""
    rows = data.results
    start = rows[(rows["metric"] == METRIC) & (rows["iteration"] == 0)]
    return FigureData(start, data.scale, data.seeds, data.layout)


def _draw_timesteps(axes: Axes, arm: Arm, untrained: Arm | None, look: Look) -> None:
    for _, values in arm.values.iterrows():
        axes.plot(arm.values.columns, values, color=look.color, **_THIN)
    mean = arm.estimates()["mean"]
    axes.plot(mean.index, mean, color=look.color, marker=look.marker, label=f"{arm.label}, trained")
    if untrained is not None:
        mean = untrained.estimates()["mean"]
        axes.plot(
            mean.index,
            mean,
            color=look.color,
            linestyle=_UNTRAINED,
            label=f"{arm.label}, untrained",
        )


def _draw_training(
    axes: Axes, data: FigureData, task: str, arm: Arm, look: Look, notes: list[str]
) -> None:
    logs = {}
    for seed in arm.values.index:
        steps, values = data.entropy_log(task, arm.variant, int(seed))
        if len(steps):
            logs[seed] = pd.Series(values, index=steps)
            axes.plot(steps, values, color=look.color, **_THIN)
    if not logs:
        notes.append(f"{arm.label}: no log of the training has the gate's entropy.")
        return
    # The mean is over iterations that all seeds have logged.
    mean = pd.DataFrame(logs).dropna().mean(axis="columns")
    axes.plot(mean.index, mean, color=look.color, label=f"{arm.label}, mean over seeds")


def _prompts(data: FigureData, task: str, arms: dict[str, Arm]) -> set[int]:
    """Return the numbers K of prompts that the gates choose from."""
    gates = (
        data.gate(task, name, int(seed)) for name, arm in arms.items() for seed in arm.values.index
    )
    return {gate.weights.shape[2] for gate in gates if gate is not None}


def _legend(left: Axes, right: Axes) -> None:
    """Name each line once, to the right of both panels."""
    named = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    right.legend(named.values(), named.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5))
