"""All metrics by name: those of the catalogue, and those that other packages bring; no torch."""

import functools
from collections.abc import Iterable, Mapping

from dmp.config import TaskConfig, nearest
from dmp.errors import DMPError
from dmp.metrics.base import REGISTERED, Metric, Quantity
from dmp.registry import load_all

# What every run is measured by, in the order of its file. Others are measured where a scale names
# them as ``evaluation.metrics``.
STANDARD = (
    "fid", "kid", "precision", "recall", "inception_score", "second_fd",
    "denoising_mse", "denoising_vb", "train_denoising_mse", "train_denoising_vb",
    "gate_entropy", "prompts_used", "gate_weight", "gate_evenness", "diverged", "fid_floor",
)  # fmt: skip


@functools.cache
def _load() -> None:
    load_all("dmp.metrics.catalogue", "dmp.metrics")


def quantities() -> Mapping[str, Quantity]:
    """Return everything that has a label, by name."""
    _load()
    return REGISTERED


def metric_names() -> list[str]:
    """Return the names of all metrics that a run can be measured by."""
    return [name for name, found in quantities().items() if isinstance(found, Metric)]


def find_metric(name: str) -> Metric:
    """Return a metric; of ``gate_weight/16`` it is ``gate_weight``.

    Raises:
        DMPError: there is none of that name.
    """
    found = quantities().get(name.split("/")[0])
    if not isinstance(found, Metric):
        raise DMPError(f"unknown metric '{name}': {nearest(name, metric_names())}")
    return found


def measured(task: TaskConfig) -> list[Metric]:
    """Return the metrics that runs of a task are measured by, in the order of their file."""
    return [find_metric(name) for name in dict.fromkeys((*STANDARD, *task.evaluation.metrics))]


def unmeasured(task: TaskConfig, names: Iterable[str], gate: bool = True) -> dict[str, str]:
    """Return which of these metrics runs of a task lack, with or without a gate, and why."""
    names = list(names)
    known = measured(task)
    absent = "evaluation.metrics of this scale does not name it"
    found = {
        name: metric.unmeasured(task) if (metric := find_metric(name)) in known else absent
        for name in names
    }
    if not gate:
        found |= {name: "it has no gate" for name in names if find_metric(name).of_gate}
    return {name: reason for name, reason in found.items() if reason}
