"""All pieces of evidence, corrected together, each with its verdict."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dmp.claims import exact, kinds
from dmp.claims.describe import describe
from dmp.claims.finding import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Finding, not_tested
from dmp.claims.measured import Measured, NotTested
from dmp.claims.pieces import Evidence
from dmp.claims.reasons import reason
from dmp.claims.schema import Claims
from dmp.config import content_hash
from dmp.statistics.holm import holm
from dmp.statistics.results import DIVERGED

COLUMNS = [
    "claim", "evidence", "test", "task", "variant", "against", "metric", "endpoint", "predicts",
    "effect", "low", "high", "relative_effect", "relative_low", "relative_high", "p", "p_holm", "n",
    "unit", "sd", "detectable", "seeds_needed", "power", "paper_effect", "paper_relative_effect",
    "paper_excluded", "verdict", "reason",
]  # fmt: skip
_TEXT = {
    "claim", "test", "task", "variant", "against", "metric", "endpoint", "predicts", "unit",
    "verdict", "reason",
}  # fmt: skip
_COUNTS = {"evidence", "n", "seeds_needed"}
# What evidence is about that has no endpoint.
_OWN_METRIC = {"entropy": "gate_entropy", "divergence": DIVERGED, "speed": "seconds"}
_BY_ENDPOINT = ("difference", "equivalence", "trend", "interaction")


def evaluate(
    claims: Claims,
    results: pd.DataFrame,
    parameters: pd.DataFrame | None = None,
    speed: pd.DataFrame | None = None,
    not_run: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Judge every piece of evidence in every endpoint.

    Args:
        claims: from :func:`dmp.claims.schema.load_claims`.
        results: see :mod:`dmp.statistics.results`.
        parameters: see :func:`dmp.reporting.parameters.read_parameters`, with ``study``; or None.
        speed: one timing per row: ``task``, ``variant``, ``stage``, ``repeat``, ``seconds``; or
            None.
        not_run: task to the reason why this scale leaves it out.

    Returns:
        One row per claim, piece of evidence and endpoint, with ``COLUMNS``. ``endpoint`` is the one
        that a row counts for: evidence of another kind, such as divergence, counts with the
        primary one. ``p`` is the smaller one of the p values for and against the claim; ``p_holm``
        corrects it for all evidence of the file in the same endpoint. ``effect`` is in units of
        the metric, ``relative_effect`` in percent of the mean of ``against``, taken as known.
        ``detectable``, ``power`` and ``seeds_needed`` are for a two-sided test at the 5 % level,
        not corrected, at the observed ``sd``; the latter two for an effect of the paper's own
        relative size.

    Raises:
        DMPError: the results are malformed, or what is to be compared was measured differently.

    """
    measured = Measured(results, not_run or {})
    rows, findings, pieces = [], [], []
    for claim, number, evidence in claims.pieces():
        for metric, endpoint in _metrics(claims, evidence):
            try:
                found = _find(evidence, measured, claims, metric, parameters, speed)
            except NotTested as missing:
                found = not_tested(metric, str(missing))
            findings.append(found)
            pieces.append(evidence)
            origin = {"claim": claim.id, "evidence": number}
            rows.append(origin | describe(evidence) | {"metric": metric, "endpoint": endpoint})
    frame = pd.DataFrame(rows)
    # A fixed verdict needs no test, and does not count in the correction.
    frame["p"] = [math.nan if found.verdict else found.p for found in findings]
    frame["p_holm"] = _corrected(frame, pieces)
    table = []
    for found, evidence, row in zip(findings, pieces, frame.to_dict("records"), strict=True):
        verdict = found.verdict or _verdict(found, row["p"], row["p_holm"], claims.level)
        numbers = row | _numbers(found) | {"verdict": verdict}
        table.append(numbers | {"reason": reason(found, evidence, numbers, claims.level)})
    return _frame(table)


def _corrected(frame: pd.DataFrame, pieces: list[Evidence]) -> pd.Series:
    """Return p values by Holm within each endpoint.

    Several claims may rest on one and the same test, which then counts once.
    """
    tests = [(content_hash(piece.model_dump(exclude={"paper"})), metric)
             for piece, metric in zip(pieces, frame["metric"], strict=True)]  # fmt: skip
    keyed = frame[["endpoint", "p"]].assign(test=tests)
    once = keyed.drop_duplicates(["endpoint", "test"]).copy()
    once["p_holm"] = once.groupby("endpoint")["p"].transform(holm)
    return keyed.merge(once, "left", ["endpoint", "test"])["p_holm"]


def _metrics(claims: Claims, evidence: Evidence) -> list[tuple[str, str]]:
    """Return (metric, endpoint that it counts for) for each row of a piece of evidence."""
    override = getattr(evidence, "metric", None)
    if evidence.test in _BY_ENDPOINT and override is None:
        return [(entry.metric, entry.metric) for entry in claims.endpoints]
    return [(override or _OWN_METRIC.get(evidence.test, evidence.test), claims.primary)]


def _find(
    evidence: Evidence,
    measured: Measured,
    claims: Claims,
    metric: str,
    parameters: pd.DataFrame | None,
    speed: pd.DataFrame | None,
) -> Finding:
    # The paper's numbers are of the primary endpoint.
    paper = metric == claims.primary
    match evidence.test:
        case "difference":
            return kinds.difference(evidence, measured, metric, claims.sign(metric), paper)
        case "equivalence":
            return kinds.equivalence(evidence, measured, metric, paper)
        case "trend":
            return kinds.trend(evidence, measured, metric, claims.sign(metric), paper)
        case "interaction":
            return kinds.interaction(evidence, measured, metric, claims.sign(metric), paper)
        case "entropy":
            return kinds.entropy(evidence, measured)
        case "divergence":
            return kinds.divergence(evidence, measured)
        case "speed":
            return kinds.speed(evidence, speed)
        case "arithmetic":
            return exact.arithmetic(evidence)
        case "parameters":
            return exact.parameters(evidence, parameters)
    return not_tested(metric, evidence.reason)


def _verdict(found: Finding, p_value: float, p_holm: float, level: float) -> str:
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


def _numbers(found: Finding) -> dict[str, Any]:
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
        "seeds_needed": found.units_needed,
        "power": found.power,
        "paper_effect": found.paper_effect,
        "paper_relative_effect": found.paper_relative,
        "paper_excluded": found.paper_excluded,
    }


def _frame(table: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(table, columns=COLUMNS)
    # Types that do not depend on what was run.
    for name in COLUMNS:
        if name in _COUNTS:
            frame[name] = frame[name].astype("Int64")
        elif name in _TEXT:
            frame[name] = frame[name].astype(object).fillna("")
        elif name == "paper_excluded":
            frame[name] = frame[name].astype("boolean")
        else:
            frame[name] = frame[name].astype(float)
    return frame
