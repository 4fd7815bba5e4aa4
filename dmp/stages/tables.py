"""From the results table to one study's tables; no torch."""

import pandas as pd

from dmp.config import nearest
from dmp.errors import DMPError
from dmp.layout import Layout
from dmp.reporting.parameters import write_parameters
from dmp.reporting.tables import write_table
from dmp.statistics.study import cells, comparisons
from dmp.studies import Plan


def _read(path) -> pd.DataFrame:
    if not path.is_file():
        raise DMPError(f"{path} does not exist; the stage that writes it has not run")
    return pd.read_csv(path)
