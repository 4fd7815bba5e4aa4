"""All evidence, corrected together, each piece with its verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dmp.claims.evidence import Evidence
from dmp.claims.measurement import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Measurement,
    not_tested,
)
from dmp.claims.numbers import Numbers
from dmp.claims.schema import Claims
from dmp.config import content_hash
from dmp.statistics.arms import Arms, Unmeasured
from dmp.statistics.formatting import format_number, format_percent, p_text
from dmp.statistics.holm import holm
from dmp.statistics.paired import power, units_needed
from dmp.statistics.results import typed

COLUMNS = {
    "claim": "text", "evidence": "count", "test": "text", "task": "text", "variant": "text",
    "against": "text", "metric": "text", "endpoint": "text", "predicts": "text", "effect": "number",
    "low": "number", "high": "number", "relative_effect": "number", "relative_low": "number",
    "relative_high": "number", "p": "number", "p_holm": "number", "n": "count", "unit": "text",
    "sd": "number", "detectable": "number", "seeds_needed": "count", "power": "number",
    "paper_effect": "number", "paper_relative_effect": "number", "paper_excluded": "truth",
    "verdict": "text", "reason": "text",
}  # fmt: skip


def evaluate(
    claims: Claims,
    results: pd.DataFrame,
    parameters: pd.DataFrame | None = None,
    speed: pd.DataFrame | None = None,
    not_run: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Judge every piece of evidence in every endpoint.

    Args:
        claims: see :mod:`dmp.claims.schema`.
        results: see :mod:`dmp.statistics.results`, as for the next two.
        parameters: counts of parameters; or None.
        speed: timings; or None.
        not_run: task to the reason why this scale leaves it out.

    Returns:
        One row per claim, piece of evidence and endpoint, with ``COLUMNS``. ``endpoint`` is the one
        that a row counts for: evidence of another kind, such as divergence, counts with the
        primary one. ``p`` is the smaller one of the p values for and against the claim; ``p_holm``
        corrects it for the evidence of all claims of the same study in the same endpoint.
        ``effect`` is in units of the metric, ``relative_effect`` in percent of the mean of
        ``against``, taken as known. ``detectable``, ``power`` and ``seeds_needed`` are for a
        two-sided test at the 5 % level, not corrected, at the observed ``sd``; the latter two for
        an effect of the paper's own relative size.

    Raises:
        DMPError: the results are malformed, or what is to be compared was measured differently.

    """
    tested = measure(claims, Numbers(Arms(results), not_run or {}, parameters, speed))
    table = []
    for each, (p_value, p_holm, verdict) in zip(tested, judge(tested, claims.level), strict=True):
        row: dict[str, Any] = {"claim": each.claim, "evidence": each.number}
        row["endpoint"] = each.endpoint
        row |= {"test": each.evidence.test, "predicts": each.evidence.prediction()}
        row |= each.evidence.compared() | _numbers(each.found)
        row |= {"p": p_value, "p_holm": p_holm, "verdict": verdict}
        row["reason"] = reason(each.found, each.evidence, row, claims.level)
        table.append(row)
    return typed(table, COLUMNS)


@dataclass(frozen=True)
class Tested:
    """A piece of evidence in one metric, and what was measured.

    Attributes:
        claim: its claim's id.
        study: the study whose question its claim is.
        number: its number in the claim.
        endpoint: the endpoint that it counts for.
        evidence: what the file says.
        found: what the results say.

    """

    claim: str
    study: str
    number: int
    endpoint: str
    evidence: Evidence
    found: Measurement


def measure(claims: Claims, numbers: Numbers) -> list[Tested]:
    """Measure all evidence in all endpoints; errors as :func:`evaluate`."""
    tested = []
    for claim, number, evidence in claims.evidence():
        for metric, endpoint in evidence.metrics([entry.metric for entry in claims.endpoints]):
            asked = replace(
                numbers,
                metric=metric,
                sign=claims.sign(metric),
                primary=metric == claims.primary,
            )
            try:
                found = evidence.measure(asked)
            except Unmeasured as missing:
                found = not_tested(metric, str(missing))
            tested.append(Tested(claim.id, claim.study, number, endpoint, evidence, found))
    return tested


def judge(tested: list[Tested], level: float) -> list[tuple[float, float, str]]:
    """Return p, corrected p and verdict of each piece of evidence.

    Holm corrects over the claims of a study, each endpoint by itself. A fixed verdict needs no
    test, and does not count; a test on which several claims of a study rest counts once.
    """
    p_values = [math.nan if each.found.verdict else each.found.p for each in tested]
    tests = [((t.study, t.endpoint), t.found.metric, _same(t.evidence)) for t in tested]
    once = dict(zip(tests, p_values, strict=True))
    corrected = {}
    for family in {test[0] for test in once}:
        members = [test for test in once if test[0] == family]
        adjusted = holm([once[test] for test in members])
        corrected |= dict(zip(members, adjusted.tolist(), strict=True))
    judged = []
    for each, test, p_value in zip(tested, tests, p_values, strict=True):
        p_holm = corrected[test]
        verdict = each.found.verdict or _verdict(each.found, p_value, p_holm, level)
        judged.append((p_value, p_holm, verdict))
    return judged


def _same(evidence: Evidence) -> str:
    """Return what is equal for equal tests, whatever the paper reports."""
    return content_hash(evidence.model_dump(exclude={"paper"}))


def _verdict(found: Measurement, p_value: float, p_holm: float, level: float) -> str:
    """Return what the corrected p values say; against the claim goes before for it.

    Where both are small, as for a small improvement that was claimed not to exist and is excluded
    from being large, the claim as stated is wrong.
    """
    if math.isnan(p_value):
        return INCONCLUSIVE
    factor = p_holm / p_value if p_value else 1.0
    if found.p_against * factor < level:
        return CONTRADICTED
    return SUPPORTED if found.p_for * factor < level else INCONCLUSIVE


def _numbers(found: Measurement) -> dict[str, Any]:
    effect = found.standardised_paper_effect
    known = found.n is not None and not math.isnan(effect)
    return {
        "metric": found.metric,
        "effect": found.effect,
        "low": found.low,
        "high": found.high,
        "relative_effect": found.relative(found.effect),
        "relative_low": found.relative(found.low),
        "relative_high": found.relative(found.high),
        "n": found.n,
        "unit": found.unit,
        "sd": found.sd,
        "detectable": found.detectable,
        "seeds_needed": units_needed(effect) if known else None,
        "power": power(effect, found.n) if known else math.nan,
        "paper_effect": found.paper_effect,
        "paper_relative_effect": found.paper_relative,
        "paper_excluded": found.paper_excluded,
    }


def reason(found: Measurement, evidence: Evidence, row: dict[str, Any], level: float) -> str:
    """Return why a piece of evidence has its verdict: one sentence without its full stop.

    Args:
        found: what was measured.
        evidence: the piece of evidence.
        row: its row of the table, verdict included.
        level: the family-wise level.

    """
    if found.verdict:
        return found.reason
    if row["verdict"] == INCONCLUSIVE:
        parts = _inconclusive(found, evidence, row, level)
    else:
        told = evidence.conclusion(found, row["verdict"] == CONTRADICTED)
        parts = [f"{told}, corrected {p_text(row['p_holm'])}"]
    if found.paper_excluded:
        parts.append(f"the paper's {format_percent(found.paper_relative)} is outside the interval")
    return "; ".join([*parts, *([found.reason] if found.reason else [])])


def _inconclusive(
    found: Measurement, evidence: Evidence, row: dict[str, Any], level: float
) -> list[str]:
    if found.n == 1:
        return [f"one {found.unit} gives neither an interval nor a test"]
    parts = []
    if row["p"] < level:
        parts.append(f"found only before the correction for many tests ({p_text(row['p'])}, "
                     f"corrected {p_text(row['p_holm'])})")  # fmt: skip
    if found.sd == 0:
        parts.append(f"all {found.n} {found.unit}s gave the same difference")
    elif not math.isnan(found.detectable):
        size = f"{format_number(found.detectable)} {evidence.unit(found.metric)}"
        parts.append(f"with {found.n} {found.unit}s an effect of {size} could have been found")
    needed = row["seeds_needed"]
    if needed is not None and found.sd:
        enough = f" and there are {found.n}" if needed <= found.n else ""
        parts.append(f"the paper's {format_percent(found.paper_relative)} would need {needed} "
                     f"{found.unit}s{enough}")  # fmt: skip
    return parts or [f"corrected {p_text(row['p_holm'])} with {found.n} {found.unit}s"]
