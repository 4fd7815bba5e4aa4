"""The table of parameter counts (Table 1), from modules built at their real size."""

import math
from pathlib import Path

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.reporting.page import Page, Table, write_page
from dmp.statistics.results import PARAMETER_COLUMNS, records, require_columns
from dmp.studies.schema import ParameterStudy


def write_parameters(
    study: ParameterStudy, parameters: pd.DataFrame, directory: str | Path
) -> None:
    """Write ``<study.id>.csv``, ``.md``, ``.tex`` and ``.html``; equal input gives equal bytes.

    Args:
        parameters: see :data:`dmp.statistics.results.PARAMETER_COLUMNS`; the paper's columns are
            printed as they stand.

    Raises:
        DMPError: a column is missing, prompts and gate do not add up to what was added, or a file
            cannot be written.
    """
    require_columns(parameters, PARAMETER_COLUMNS, "parameters")
    lines = []
    for row in records(parameters):
        if row.prompts + row.gate != row.added:
            raise DMPError(
                f"parameters: backbone {row.backbone}: prompts = {row.prompts} and gate = "
                f"{row.gate} do not add up to added = {row.added}"
            )
        lines.append(
            {
                "Backbone": row.backbone,
                "Parameters": f"{row.backbone_parameters:,}",
                "Prompts": f"{row.prompts:,}",
                "Gate": f"{row.gate:,}",
                "Added": f"{row.added:,}",
                "Added, % of exact": f"{100 * row.added / row.backbone_parameters:.3f}",
                "Paper's accounting: base": f"{row.base_nominal_millions:g}M",
                "with DMP": f"{_truncated(row.dmp_millions, 1)}M",
                "increase": f"+{_truncated(row.increase_percent, 2)}%",
                "printed: with DMP": row.paper_dmp,
                "printed: increase": row.paper_increase_percent,
            }
        )
    caption = "Parameters of the backbone and of what DMP adds"
    page = Page(
        title=study.title,
        warning="",
        introduction=[
            f"Parameters of modules built at their real size; nothing is trained. The paper's "
            f"numbers ({study.source}) as printed."
        ],
        tables=[Table(caption, pd.DataFrame(lines), text_columns=1)],
        notes=list(study.notes),
    )
    write_csv(Path(directory) / f"{study.id}.csv", parameters)
    write_page(page, directory, study.id)


def _truncated(value: float, decimals: int) -> str:
    """Cut off, as the paper's table does: 132.556 becomes 132.5."""
    cut = math.floor(value * 10**decimals) / 10**decimals
    return f"{cut:.{decimals}f}"
