"""Why a piece of evidence has its verdict, in words."""

from typing import Any

import pandas as pd

from dmp.claims.evidence import Evidence, size
from dmp.claims.judge import IRRELEVANT, OPPOSITE, Verdict
from dmp.claims.measurement import INCONCLUSIVE, SUPPORTED, Measurement
from dmp.statistics.formatting import format_percent, p_text

UNCORRECTED = "decided only before the correction for the whole page"


def reason(
    found: Measurement, evidence: Evidence, verdict: Verdict, row: dict[str, Any], level: float
) -> str:
    """Return why a piece of evidence has its verdict: one sentence without its full stop.

    Args:
        row: its row of the table, as far as it is numbers.
        level: of either half of a family.
    """
    if found.verdict:
        return found.reason
    if verdict.verdict == INCONCLUSIVE:
        parts = _inconclusive(found, evidence, row, level)
    elif verdict.verdict == SUPPORTED:
        parts = [f"{evidence.shown(found)}, corrected {p_text(verdict.p_for)}"]
    else:
        parts = [f"{_refuted(found, evidence, verdict)}, corrected {p_text(verdict.p_against)}"]
    if found.paper_excluded:
        parts.append(f"the paper's {format_percent(found.paper_effect)} is outside the interval")
    return "; ".join([*parts, *([found.reason] if found.reason else [])])


def _refuted(found: Measurement, evidence: Evidence, verdict: Verdict) -> str:
    if verdict.finding == OPPOSITE:
        return evidence.shown(found)
    if verdict.finding != IRRELEVANT:
        return evidence.refuted(found)
    if found.sd == 0 and found.effect == 0:
        return f"{IRRELEVANT}: equal to the last digit in each of {found.n} {found.unit}s"
    though = f", though {evidence.shown(found)}" if verdict.same else ""
    return f"{IRRELEVANT}: {evidence.excluded(found)} is excluded{though}"


def _inconclusive(
    found: Measurement, evidence: Evidence, row: dict[str, Any], level: float
) -> list[str]:
    if found.n == 1:
        return [f"one {found.unit} gives neither an interval nor a test"]
    parts = []
    smaller = min(found.p_for, found.p_against)
    if smaller <= level:
        parts.append(f"{UNCORRECTED} ({p_text(smaller)})")
    needed = row.get("units_relevant")
    if found.sd == 0:
        parts.append(f"all {found.n} {found.unit}s gave the same difference")
    elif found.source is not None:
        smallest = size(row["detectable"])
        parts.append(f"{evidence.observed(found)}; smallest detectable effect with "
                     f"{found.units}: {smallest}")  # fmt: skip
    else:
        parts.append(f"{evidence.observed(found)}, which {found.units} do not decide")
    if needed is not None and not pd.isna(needed) and found.sd and needed > (found.n or 0):
        parts.append(f"detecting or excluding {found.relevant:g} % would take {needed}")
    return parts
