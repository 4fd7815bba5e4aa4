"""The runs that are there already, whoever computed them; no torch."""

import pandas as pd

from dmp.files import read_json
from dmp.layout import Layout
from dmp.studies.run import RunConfig

# Every objective that is measured, and whether the run has diverged.
MEASURED = ("fid", "denoising_mse")


def is_computed(layout: Layout, run: RunConfig) -> bool:
    """Return whether a run's numbers are there, and are those of this configuration."""
    path = layout.metrics(run.task, run.variant, run.seed)
    config = path.parent / "config.json"
    # The numbers are written last, after the configuration that they belong to.
    return path.is_file() and config.is_file() and read_json(config)["hash"] == run.hash


def read_values(layout: Layout, run: RunConfig) -> dict[str, float] | None:
    """Return what a computed run measured after its last iteration; None if it has diverged."""
    table = pd.read_csv(layout.metrics(run.task, run.variant, run.seed))
    table = table[(table["bin"] == "all") & (table["iteration"] == run.iterations)]
    values = dict(zip(table["metric"], table["value"], strict=True))
    if values["diverged"]:
        return None
    return {name: float(values[name]) for name in MEASURED}
