"""From pieces of evidence to one verdict per claim."""

import math
from typing import Any

import pandas as pd

from dmp.claims.measurement import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, SUPPORTED, VERDICTS
from dmp.claims.reason import UNCORRECTED
from dmp.claims.schema import Claims
from dmp.statistics.results import records


def summarise(evaluated: pd.DataFrame, claims: Claims) -> pd.DataFrame:
    """Return one verdict per claim, endpoint and recipe.

    A claim is contradicted if any piece of its evidence is, supported if all that was tested is,
    not tested if nothing was, and inconclusive otherwise.

    Args:
        evaluated: from :func:`dmp.claims.evaluate.evaluate`.

    Returns:
        One row per claim: ``claim``, ``statement``, ``location``, ``verdict``, ``reason`` and its
        gist ``why`` in the primary endpoint and on the first recipe; ``verdict_<recipe>`` and
        ``reason_<recipe>`` on each further one; ``verdict_<metric>`` for each secondary endpoint.
        A verdict is empty where none of the evidence is about it.
    """
    grouped = evaluated.groupby(["claim", "recipe", "endpoint"], sort=False)
    pieces = {key: list(records(rows)) for key, rows in grouped}
    first, *others = claims.recipes
    table = []
    for claim in claims.claims:
        found = pieces[claim.id, first, claims.primary]
        row = {
            "claim": claim.id,
            "statement": claim.statement,
            "location": claim.location,
            "verdict": _combined(found),
            "reason": _told(found),
            "why": _gist(found),
        }
        for recipe in others:
            own = pieces.get((claim.id, recipe, claims.primary), [])
            row |= {f"verdict_{recipe}": _combined(own), f"reason_{recipe}": _told(own)}
        for endpoint in claims.endpoints[1:]:
            own = pieces.get((claim.id, first, endpoint.metric), [])
            row[f"verdict_{endpoint.metric}"] = _combined(own)
        table.append(row | {"contradicted_in_paper": claim.contradicted_in_paper})
    return pd.DataFrame(table)


def decided(verdicts: pd.Series) -> tuple[int, int]:
    """Return how many verdicts are decided, and how many could be tested."""
    testable = int(verdicts.isin([SUPPORTED, CONTRADICTED, INCONCLUSIVE]).sum())
    return int(verdicts.isin([SUPPORTED, CONTRADICTED]).sum()), testable


def _combined(pieces: list[Any]) -> str:
    verdicts = {piece.verdict for piece in pieces}
    tested = verdicts - {NOT_TESTED}
    if CONTRADICTED in tested:
        return CONTRADICTED
    by_runs = [piece.verdict for piece in pieces if piece.task]
    if by_runs and set(by_runs) == {NOT_TESTED}:
        return NOT_TESTED
    if len(tested) == 1:
        return tested.pop()
    if tested:
        return INCONCLUSIVE
    return NOT_TESTED if verdicts else ""


def _told(pieces: list[Any]) -> str:
    """Return what decides: the pieces that contradict or leave it open, else how many support."""
    if not pieces:
        return ""
    if len({piece.reason for piece in pieces}) == 1:
        return pieces[0].reason
    counts = [(name, [p for p in pieces if p.verdict == name]) for name in VERDICTS]
    told = ", ".join(f"{len(own)} {name}" for name, own in counts if own)
    told = f"of {len(pieces)} pieces of evidence {told}"
    first = deciding(pieces)
    if first.verdict not in (CONTRADICTED, INCONCLUSIVE):
        return told
    return f"{told}; {first.claim}.{first.evidence}: {first.reason}"


def deciding(pieces: list[Any]) -> Any:
    """Return the piece, of one or more, that has its claim's verdict, and it the most surely."""
    own = [piece for piece in pieces if piece.verdict == _combined(pieces)]
    return min(own, key=_p, default=pieces[0])


def _gist(pieces: list[Any]) -> str:
    """Return what was found in the piece that decides, and where, in one sentence."""
    piece = deciding(pieces)
    found, *rest = [part for part in piece.reason.split("; ") if not part.startswith(UNCORRECTED)]
    rest = rest[:1] if piece.verdict == INCONCLUSIVE else []
    where = f"{piece.task}: " if piece.task else ""
    return where + "; ".join([found, *rest])


def _p(piece: Any) -> float:
    p_value = getattr(piece, "p_against_holm", math.nan)
    return p_value if p_value == p_value else 2.0
