"""Evidence without chance: arithmetic on the paper's own numbers, and counts of parameters."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pandas as pd

from dmp.claims.finding import CONTRADICTED, SUPPORTED, Finding
from dmp.claims.measured import NotTested
from dmp.claims.pieces import Arithmetic, Parameters
from dmp.statistics.results import require_columns

_COLUMNS = {"study": str, "backbone": str, "increase_percent": float}


def arithmetic(evidence: Arithmetic) -> Finding:
    """Check that a percentage follows from two printed numbers, rounded or truncated."""
    start, end = Decimal(evidence.start), Decimal(evidence.end)
    percent = 100 * abs(end - start) / abs(start)
    way = _way(percent, Decimal(evidence.claimed_percent), evidence.digits)
    change = f"{evidence.start} to {evidence.end} is {abs(end - start)} or {percent:.3f} %"
    return Finding(
        metric="arithmetic",
        effect=float(percent),
        paper_effect=float(evidence.claimed_percent),
        verdict=SUPPORTED if way else CONTRADICTED,
        reason=f"{change}, {way} {evidence.claimed_percent} %"
        if way
        else f"{change}, neither rounded nor truncated {evidence.claimed_percent} %",
    )


def parameters(evidence: Parameters, table: pd.DataFrame | None) -> Finding:
    """Check the smallest and the largest increase in parameters, rounded or truncated.

    Raises:
        NotTested: nothing was counted, or not this backbone.
        DMPError: a column is missing.

    """
    if table is None:
        raise NotTested("no parameters were counted")
    require_columns(table, _COLUMNS, "parameters")
    rows = table[(table["study"] == evidence.study) & table["backbone"].isin(evidence.backbones)]
    lacking = sorted(set(evidence.backbones) - set(rows["backbone"]))
    if lacking:
        raise NotTested(f"study {evidence.study} has not counted {', '.join(lacking)}")
    found = [Decimal(str(value)) for value in rows["increase_percent"]]
    ways = []
    told = []
    for value, claimed in zip((min(found), max(found)), evidence.claimed, strict=True):
        digits = -Decimal(claimed).as_tuple().exponent
        ways.append(_way(value, Decimal(claimed), max(0, digits)))
        told.append(f"{value:.4f} %, {ways[-1] or 'neither rounded nor truncated'} {claimed} %")
    return Finding(
        metric="parameters",
        effect=float(max(found)),
        paper_effect=float(evidence.claimed[1]),
        verdict=SUPPORTED if all(ways) else CONTRADICTED,
        reason="; ".join(dict.fromkeys(told)),
    )


def _way(value: Decimal, claimed: Decimal, digits: int) -> str:
    """Return how ``value`` becomes ``claimed``; empty if it does not."""
    unit = Decimal(1).scaleb(-digits)
    for way, rounding in (("rounded", ROUND_HALF_UP), ("truncated", ROUND_DOWN)):
        if value.quantize(unit, rounding=rounding) == claimed:
            return way
    return ""
