"""All pieces of evidence, corrected together, each with its verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
        corrects it for the evidence of all claims of the same study in the same endpoint.
        ``effect`` is in units of the metric, ``relative_effect`` in percent of the mean of
        ``against``, taken as known. ``detectable``, ``power`` and ``seeds_needed`` are for a
        two-sided test at the 5 % level, not corrected, at the observed ``sd``; the latter two for
        an effect of the paper's own relative size.

    Raises:
        DMPError: the results are malformed, or what is to be compared was measured differently.

    """
    pieces = find(claims, Measured(results, not_run or {}), parameters, speed)
    table = []
    for piece, (p_value, p_holm, verdict) in zip(pieces, judge(pieces, claims.level), strict=True):
        row = {"claim": piece.claim, "evidence": piece.number, "endpoint": piece.endpoint}
        row |= describe(piece.evidence) | _numbers(piece.found)
        row |= {"p": p_value, "p_holm": p_holm, "verdict": verdict}
        row["reason"] = reason(piece.found, piece.evidence, row, claims.level)
        table.append(row)
    return _frame(table)


@dataclass(frozen=True)
class Piece:
    """A piece of evidence in one metric, and what was found.

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
    found: Finding


def find(
    claims: Claims,
    measured: Measured,
    parameters: pd.DataFrame | None = None,
    speed: pd.DataFrame | None = None,
) -> list[Piece]:
    """Return what was found for all evidence in all endpoints; arguments as of :func:`evaluate`."""
    pieces = []
    for claim, number, evidence in claims.pieces():
        for metric, endpoint in _metrics(claims, evidence):
            try:
                found = _find(evidence, measured, claims, metric, parameters, speed)
            except NotTested as missing:
                found = not_tested(metric, str(missing))
            pieces.append(Piece(claim.id, claim.study, number, endpoint, evidence, found))
    return pieces


def judge(pieces: list[Piece], level: float) -> list[tuple[float, float, str]]:
    """Return p, corrected p and verdict of each piece.

    Holm corrects over the claims of a study, each endpoint by itself. A fixed verdict needs no
    test, and does not count; a test on which several claims of a study rest counts once.
    """
    p_values = [math.nan if piece.found.verdict else piece.found.p for piece in pieces]
    tests = [((p.study, p.endpoint), p.found.metric, _same(p.evidence)) for p in pieces]
    once = dict(zip(tests, p_values, strict=True))
    corrected = {}
    for family in {test[0] for test in once}:
        members = [test for test in once if test[0] == family]
        adjusted = holm([once[test] for test in members])
        corrected |= dict(zip(members, adjusted.tolist(), strict=True))
    judged = []
    for piece, test, p_value in zip(pieces, tests, p_values, strict=True):
        p_holm = corrected[test]
        verdict = piece.found.verdict or _verdict(piece.found, p_value, p_holm, level)
        judged.append((p_value, p_holm, verdict))
    return judged


def _same(evidence: Evidence) -> str:
    """Return what is equal for equal tests, whatever the paper reports."""
    return content_hash(evidence.model_dump(exclude={"paper"}))


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
