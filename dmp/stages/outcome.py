"""What a run came to, beside the baseline that it began with, as text for a terminal; no torch."""

from pathlib import Path

from tabulate import tabulate

from dmp.layout import Layout
from dmp.methods import on_recipe
from dmp.metrics.registry import find_metric
from dmp.statistics.formatting import MISSING
from dmp.statistics.results import ALL_TIMESTEPS, read_csv
from dmp.studies.run import RunConfig
from dmp.studies.schema import METRICS


def outcome(layout: Layout, run: RunConfig) -> str:
    """Return a run's metrics, those of the baseline of its seed, and the run's folder.

    Both are as measured after the last iteration. A dash stands for what has not been measured: the
    baseline is a run of its own.

    Raises:
        DMPError: the run's metrics cannot be read.
    """
    folder = layout.run(run.task, run.variant, run.seed)
    own = last_values(folder / "metrics.csv")
    baseline = on_recipe("baseline", run.recipe)
    columns = [own]
    headers = [f"{run.task}, seed {run.seed}", run.variant]
    if run.variant != baseline:
        path = layout.metrics(run.task, baseline, run.seed)
        columns.append(last_values(path) if path.is_file() else {})
        headers.append(baseline)
    names = [name for name in METRICS if name in own] or list(own)
    rows = [
        [
            find_metric(name).heading,
            *(f"{each[name]:#.4g}" if name in each else MISSING for each in columns),
        ]
        for name in names
    ]
    table = tabulate(rows, headers, disable_numparse=True, stralign="right")
    return f"{table}\nin {folder}"


def last_values(path: Path) -> dict[str, float]:
    """Return a run's values after its last iteration, of all timesteps together.

    Raises:
        DMPError: the file cannot be read, or is no table of metrics.
    """
    table = read_csv(path, {"metric": str, "bin": str, "iteration": int, "value": float})
    last = table[(table["bin"] == ALL_TIMESTEPS) & (table["iteration"] == table["iteration"].max())]
    return dict(zip(last["metric"], last["value"], strict=True))
