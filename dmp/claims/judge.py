"""From measurements to verdicts: two families of hypotheses, for the claims and against them.

A claim is a conjunction of pieces of evidence. It is supported if each of them is (the
intersection-union test: the largest p value is the claim's, without a correction within it), and
contradicted if any one is refuted (so that Holm corrects within it). Between the claims of a page
Holm corrects those for and those against, each at half the level: the chance of any false verdict
is at most the level. A claim may be both, an effect that is there and too small to matter: that is
contradicted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmp.claims.evidence import Evidence
from dmp.claims.measurement import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Measurement
from dmp.statistics.holm import holm, holm_factors

# How a claim is contradicted.
IRRELEVANT = "no relevant effect"
OPPOSITE = "the opposite"
REFUTED = "the claim is refuted"


@dataclass(frozen=True)
class Tested:
    """A piece of evidence in one metric, the endpoint that it counts for, and what was measured."""

    claim: str
    number: int
    endpoint: str
    recipe: str
    evidence: Evidence
    found: Measurement


@dataclass(frozen=True)
class Verdict:
    """The verdict on a piece of evidence.

    Attributes:
        verdict: one of :data:`dmp.claims.measurement.VERDICTS`.
        finding: of a contradiction: no relevant effect, the opposite, or that it is refuted.
        same: whether the claimed direction is shown, at the level left to the claim.
        p_for: the p value for the claim, corrected; compared with half the level.
        p_against: the same against it.
    """

    verdict: str
    finding: str = ""
    same: bool = False
    p_for: float = math.nan
    p_against: float = math.nan


def judge(tested: Sequence[Tested], level: float) -> list[Verdict]:
    """Return the verdict on each piece of evidence; each endpoint and recipe is a family.

    Args:
        level: of either half of a family.
    """
    verdicts: dict[int, Verdict] = {}
    families: dict[tuple[str, str], dict[str, list[int]]] = {}
    fixed = {_where(each) for each in tested if each.found.verdict == CONTRADICTED}
    for k, each in enumerate(tested):
        if each.found.verdict:
            verdicts[k] = Verdict(each.found.verdict)
        else:
            family = families.setdefault((each.recipe, each.endpoint), {})
            # A claim that arithmetic contradicts needs no test, and does not count as one.
            name = "" if _where(each) in fixed else each.claim
            family.setdefault(name, []).append(k)
    for family in families.values():
        verdicts |= _family(tested, family, level)
    return [verdicts[k] for k in range(len(tested))]


def _where(each: Tested) -> tuple[str, str, str]:
    return each.claim, each.recipe, each.endpoint


def _family(
    tested: Sequence[Tested], claims: dict[str, list[int]], level: float
) -> dict[int, Verdict]:
    names = [name for name in claims if name]
    within = {name: holm([tested[k].found.p_against for k in own]) for name, own in claims.items()}
    largest = [_largest([tested[k].found.p_for for k in claims[name]]) for name in names]
    # NaN only where all are.
    smallest = [np.fmin.reduce(within[name]) for name in names]
    factors_for = dict(zip(names, holm_factors(largest, level).tolist(), strict=True))
    factors_against = dict(zip(names, holm_factors(smallest, level).tolist(), strict=True))
    verdicts = {}
    for name, members in claims.items():
        up, down = factors_for.get(name, math.nan), factors_against.get(name, math.nan)
        for k, p_against in zip(members, within[name].tolist(), strict=True):
            verdicts[k] = _verdict(tested[k].found, up, p_against, down, level)
    return verdicts


def _largest(p_values: list[float]) -> float:
    """Return the p value for a claim: without one of its pieces it cannot be shown."""
    known = [p for p in p_values if not math.isnan(p)]
    return math.nan if not known else max(known) if len(known) == len(p_values) else 1.0


def _verdict(found: Measurement, up: float, p_against: float, down: float, level: float) -> Verdict:
    p_for, p_against = _times(found.p_for, up), _times(p_against, down)
    same = _times(found.p_same, up) <= level
    if p_against <= level:
        if math.isnan(found.p_same):
            finding = REFUTED
        elif _times(found.p_opposite, down) <= level and not _times(found.p_bounded, down) <= level:
            finding = OPPOSITE
        else:
            finding = IRRELEVANT
        return Verdict(CONTRADICTED, finding, same, p_for, p_against)
    verdict = SUPPORTED if p_for <= level else INCONCLUSIVE
    return Verdict(verdict, "", same, p_for, p_against)


def _times(p_value: float, factor: float) -> float:
    return min(1.0, p_value * factor) if p_value == p_value and factor == factor else math.nan
