"""From pieces of evidence to one verdict per claim."""

import pandas as pd

from dmp.claims.measurement import CONTRADICTED, INCONCLUSIVE, NOT_TESTED, VERDICTS
from dmp.claims.schema import Claims


def summarise(evaluated: pd.DataFrame, claims: Claims) -> pd.DataFrame:
    """Return one verdict per claim and endpoint.

    A claim is contradicted if any piece of its evidence is, supported if all that was tested is,
    not tested if nothing was, and inconclusive otherwise.

    Args:
        evaluated: from :func:`evaluate`.
        claims: the same claims.

    Returns:
        One row per claim: ``claim``, ``statement``, ``location``, ``verdict`` and ``reason`` in
        the primary endpoint, ``verdict_<metric>`` for each secondary endpoint (empty where none of
        the evidence is about it), and ``contradicted_in_paper``.

    """
    reasons = evaluated.groupby(["claim", "endpoint"], sort=False)["reason"].agg(list).to_dict()
    verdicts = evaluated.groupby(["claim", "endpoint"], sort=False)["verdict"].agg(list).to_dict()
    table = []
    for claim in claims.claims:
        found = verdicts[claim.id, claims.primary]
        row = {
            "claim": claim.id,
            "statement": claim.statement,
            "location": claim.location,
            "verdict": _combined(found),
            "reason": _told(found, reasons[claim.id, claims.primary]),
        }
        for endpoint in claims.endpoints[1:]:
            row[f"verdict_{endpoint.metric}"] = _combined(
                verdicts.get((claim.id, endpoint.metric), [])
            )
        table.append(row | {"contradicted_in_paper": claim.contradicted_in_paper})
    return pd.DataFrame(table)


def _combined(verdicts: list[str]) -> str:
    tested = set(verdicts) - {NOT_TESTED}
    if CONTRADICTED in tested:
        return CONTRADICTED
    if len(tested) == 1:
        return tested.pop()
    if tested:
        return INCONCLUSIVE
    return NOT_TESTED if verdicts else ""


def _told(verdicts: list[str], reasons: list[str]) -> str:
    """Return the reason, or where there are several ``1 supported, 2 inconclusive, of 3``."""
    if len(set(reasons)) == 1:
        return reasons[0]
    counts = [f"{verdicts.count(name)} {name}" for name in VERDICTS if name in verdicts]
    return f"of {len(verdicts)} pieces of evidence {', '.join(counts)}"
