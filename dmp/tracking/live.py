"""Runs that are still training: their curves, as far as their logs have come."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dmp.runlog import read_log
from dmp.tracking.record import MAX_RECORDS, run_name, run_title
from dmp.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

# The last step that MLflow has been handed.
_STEP_TAG = "dmp.last_step"
_LOG = "log.jsonl"

State = Literal["ended", "training", "absent"]


def state(folder: Path) -> State:
    """Return how far a run is, from the files of its folder; ``absent`` if nothing tells of it.

    The record of where a run came from is written when its training has ended.
    """
    if (folder / "provenance.json").is_file():
        return "ended"
    if (folder / _LOG).is_file():
        return "training"
    return "ended" if (folder / "config.json").is_file() else "absent"


def follow(
    store: Store, live: "Sequence[Run]", folder: Path, tags: Mapping[str, str], parent: str | None
) -> str:
    """Append to a run what its log has and MLflow lacks; return the run's id.

    The run is created if there is none. Of a long log it gets what a run that has ended gets:
    records evenly spaced. It is not marked as complete: when it has ended, the whole run takes its
    place.

    Args:
        live: the experiment's runs of this folder.
        tags: of the run; ``task``, ``variant`` and ``seed`` name it.
        parent: id of the run of the study.

    Raises:
        DMPError: the log cannot be read.
    """
    from mlflow.entities import Metric

    points = read_log(folder / _LOG, MAX_RECORDS)
    found = next((run for run in live if _STEP_TAG in run.data.tags), None)
    last = -1 if found is None else int(found.data.tags[_STEP_TAG])
    new = [point for point in points if point.step > last]
    store.delete([run for run in live if run is not found])
    if found is None:
        start = points[0].time_ms if points else 0
        names = tags["task"], tags["variant"], int(tags["seed"])
        run_id = store.create(run_name(*names), run_title(*names), tags, start, parent)
    else:
        run_id = found.info.run_id
    if new:
        store.log(run_id, [Metric(*point) for point in new])
    if new or found is None:
        store.tag(run_id, {_STEP_TAG: str(max((point.step for point in new), default=last))})
    return run_id
