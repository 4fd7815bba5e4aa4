"""How MLflow's pages open in a browser that has never seen them: links, and what they show.

MLflow keeps a view that somebody shares in a tag of its experiment, whose name is that of the key
that a link gives as ``viewStateShareKey``. So the first look is at numbers.
"""

import json
from pathlib import Path

from dmp.errors import DMPError
from dmp.tracking.store import check_place

_METRICS = ("final/fid", "final/denoising_mse", "final/kid", "loss")
_TAGS = ("task", "variant", "seed")
# What MLflow calls the first columns, and pixels: names are to be read to their end.
_FIRST = {"0": 60, "attributes.`Run Name`": 320}
_METRIC_WIDTH = 150
# Of the links: key of the view, and what to call it.
VIEWS = {"runs": "every run", "seeds": "means of seeds"}
# MLflow's SQL stores take 5,000 characters as the value of an experiment's tag.
MAX_NOTE = 4900


def shared_views() -> dict[str, str]:
    """Return the tags of an experiment that hold its views."""
    columns = [f"metrics.`{name}`" for name in _METRICS] + [f"tags.`{name}`" for name in _TAGS]
    widths = _FIRST | dict.fromkeys(columns[: len(_METRICS)], _METRIC_WIDTH)
    runs = {
        "selectedColumns": columns,
        "columnOrder": [*_FIRST, *columns, "runDateAndNestInfo", "duration"],
        "columnWidths": widths,
        "orderByKey": "tags.`dmp.record`",
        "orderByAsc": True,
        "runsHiddenMode": "SHOWALL",
    }
    key = {"mode": "tag", "groupByData": "cell"}
    seeds = {**runs, "groupBy": {"aggregateFunction": "average", "groupByKeys": [key]}}
    views = {"runs": runs, "seeds": seeds}
    return {f"mlflow.sharedViewState.{key}": json.dumps(views[key]) for key in VIEWS}


def links(uri: str, address: str, scale: str) -> list[str]:
    """Return lines with the links to the runs of each experiment of a scale.

    Args:
        address: where MLflow's pages are served, such as ``http://127.0.0.1:5000``.
        scale: the first part of an experiment's name.

    Raises:
        DMPError: there is no such store, it has nothing of the scale, or it was moved or copied
            with its artifacts.
    """
    from mlflow import MlflowClient

    store = Path(uri.removeprefix("sqlite:///"))
    found = []
    if not uri.startswith("sqlite:") or store.is_file():
        found = [
            each
            for each in MlflowClient(uri).search_experiments()
            if each.name.startswith(f"{scale}/") and shared_views().keys() <= each.tags.keys()
        ]
    if not found:
        raise DMPError(
            f"MLflow has no runs of scale '{scale}' yet; `dmp track --scale {scale}` hands over "
            f"those that are there"
        )
    lines = []
    for each in sorted(found, key=lambda each: int(each.experiment_id)):
        if uri.startswith("sqlite:"):
            check_place(each, store)
        lines.append(each.name)
        page = f"{address}/#/experiments/{each.experiment_id}/runs?viewStateShareKey"
        lines += [f"  {what}: {page}={view}" for view, what in VIEWS.items()]
    return lines
