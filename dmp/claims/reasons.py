"""Why a piece of evidence has its verdict, in plain words."""

import math
from typing import Any

from dmp.claims.finding import CONTRADICTED, INCONCLUSIVE, Finding
from dmp.claims.pieces import Evidence
from dmp.reporting.labels import metric_name
from dmp.reporting.numbers import format_number, format_p

_PLURALS = {"seed": "seeds", "baseline": "baselines", "run": "runs", "repeat": "repeats"}


def format_percent(value: float) -> str:
    """Return ``+1.5 %`` or ``−6.4 %``."""
    return f"{value:+.1f} %".replace("-", "−")


def p_text(p_value: float) -> str:
    """Return ``p = 0.012`` or ``p < 0.001``."""
    text = format_p(p_value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def reason(found: Finding, evidence: Evidence, row: dict[str, Any], level: float) -> str:
    """Return one sentence without its full stop.

    Args:
        found: what was found.
        evidence: the piece of evidence.
        row: its row of the table, verdict included.
        level: the family-wise level.

    """
    if found.verdict:
        return found.reason
    if row["verdict"] == INCONCLUSIVE:
        parts = _inconclusive(found, row, level)
    else:
        parts = [_found(found, evidence, row)]
    if found.paper_excluded:
        parts.append(f"the paper's {format_percent(found.paper_relative)} is outside the interval")
    return "; ".join([*parts, *([found.reason] if found.reason else [])])


def _found(found: Finding, evidence: Evidence, row: dict[str, Any]) -> str:
    name, p_value = _name(found.metric), f"corrected {p_text(row['p_holm'])}"
    if evidence.test == "speed":
        side = "above" if row["verdict"] == CONTRADICTED else "below"
        return f"the slowdown is {side} {evidence.margin_percent:g} %, {p_value}"
    if row["verdict"] == CONTRADICTED and evidence.test == "equivalence":
        return f"the difference is larger than {evidence.margin_percent:g} %, {p_value}"
    if evidence.test == "equivalence":
        return f"the difference is smaller than {evidence.margin_percent:g} %, {p_value}"
    predicts = getattr(evidence, "predicts", "")
    if predicts.startswith("not-") and row["verdict"] != CONTRADICTED:
        change = "an improvement" if predicts == "not-better" else "a decline"
        return f"{change} by more than {evidence.margin_percent:g} % is excluded, {p_value}"
    direction = "higher" if found.effect > 0 else "lower"
    if evidence.test == "trend":
        return f"{name} {'rises' if found.effect > 0 else 'falls'} along the order, {p_value}"
    if evidence.test == "interaction":
        return f"{name} is {direction} than the sum of both parts alone, {p_value}"
    if evidence.test == "entropy":
        return f"the slope is {direction} than {'against' if evidence.against else '0'}, {p_value}"
    if evidence.test == "divergence":
        return f"{'more' if found.effect > 0 else 'fewer'} runs diverge, {p_value}"
    relative = row["relative_effect"]
    size = "" if math.isnan(relative) else f" by {format_percent(abs(relative)).lstrip('+')}"
    return f"{name} is {direction}{size}, {p_value}"


def _inconclusive(found: Finding, row: dict[str, Any], level: float) -> list[str]:
    if found.n == 1:
        return [f"one {found.unit} gives neither an interval nor a test"]
    parts = []
    if row["p"] < level:
        parts.append(f"found only before the correction for many tests ({p_text(row['p'])}, "
                     f"corrected {p_text(row['p_holm'])})")  # fmt: skip
    plural = _PLURALS[found.unit]
    if found.sd == 0:
        parts.append(f"all {found.n} {plural} gave the same difference")
    elif not math.isnan(found.detectable):
        name = _name(found.metric)
        parts.append(f"with {found.n} {plural} an effect of {format_number(found.detectable)} "
                     f"{name} could have been found")  # fmt: skip
    needed = found.units_needed
    if needed is not None and found.sd:
        enough = f" and there are {found.n}" if needed <= found.n else ""
        parts.append(f"the paper's {format_percent(found.paper_relative)} would need {needed} "
                     f"{plural}{enough}")  # fmt: skip
    return parts or [f"corrected {p_text(row['p_holm'])} with {found.n} {plural}"]


def _name(metric: str) -> str:
    return "nats per 1000 timesteps" if metric == "gate_entropy" else metric_name(metric)
