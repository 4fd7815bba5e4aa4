"""The table of parameter counts (Table 1), from modules built at their real size."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_text
from dmp.reporting.page import Page, Table, write_page
from dmp.statistics.results import read_csv, require_columns

PARAMETER_COLUMNS = {
    "backbone": str,
    "base_nominal_millions": float,
    "backbone_parameters": int,
    "prompts": int,
    "gate": int,
    "added": int,
    "dmp_millions": float,
    "increase_percent": float,
    "paper_base": str,
    "paper_dmp": str,
    "paper_increase_percent": str,
}


def read_parameters(path: str | Path) -> pd.DataFrame:
    """Read ``parameters.csv``: the columns of ``PARAMETER_COLUMNS``, one backbone per row.

    Raises:
        DMPError: the file or a column is missing, or a value is not of its column's type.

    """
    return read_csv(path, PARAMETER_COLUMNS)


def write_parameters(study: Any, parameters: pd.DataFrame, directory: str | Path) -> None:
    """Write ``<study.id>.csv``, ``.md``, ``.tex`` and ``.html``; equal input gives equal bytes.

    Args:
        study: has ``id``, ``title``, ``source`` and ``notes``.
        parameters: see :func:`read_parameters`; the paper's columns are printed as they stand.
        directory: where to; made if it does not exist.

    Raises:
        DMPError: a column is missing, prompts and gate do not add up to what was added, or a file
            cannot be written.

    """
    require_columns(parameters, PARAMETER_COLUMNS, "parameters")
    for row in parameters.itertuples():
        if row.prompts + row.gate != row.added:
            raise DMPError(
                f"parameters: backbone {row.backbone}: prompts = {row.prompts} and gate = "
                f"{row.gate} do not add up to added = {row.added}"
            )
    frame = pd.DataFrame(
        {
            "Backbone": parameters["backbone"].astype(str),
            "Parameters": parameters["backbone_parameters"].map("{:,}".format),
            "Prompts": parameters["prompts"].map("{:,}".format),
            "Gate": parameters["gate"].map("{:,}".format),
            "Added": parameters["added"].map("{:,}".format),
            "Added, % of exact": (
                100 * parameters["added"] / parameters["backbone_parameters"]
            ).map("{:.3f}".format),
            "Paper's accounting: base": parameters["base_nominal_millions"].map("{:g}M".format),
            "with DMP": [_truncated(value, 1) + "M" for value in parameters["dmp_millions"]],
            "increase": [f"+{_truncated(value, 2)}%" for value in parameters["increase_percent"]],
            "printed: with DMP": parameters["paper_dmp"].astype(str),
            "printed: increase": parameters["paper_increase_percent"].astype(str),
        }
    )
    page = Page(
        title=study.title,
        warning="",
        introduction=[
            f"Parameters of modules built at their real size; nothing is trained. The paper's "
            f"numbers ({study.source}) as printed."
        ],
        tables=[Table("Parameters of the backbone and of what DMP adds", frame, text_columns=1)],
        notes=list(study.notes),
    )
    write_text(
        Path(directory) / f"{study.id}.csv", parameters.to_csv(index=False, lineterminator="\n")
    )
    write_page(page, directory, study.id)


def _truncated(value: float, decimals: int) -> str:
    """Cut off, as the paper's table does: 132.556 becomes 132.5."""
    cut = math.floor(value * 10**decimals) / 10**decimals
    return f"{cut:.{decimals}f}"
