"""All evidence, corrected together, each piece with its verdict."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from dmp.claims.judge import Tested, judge
from dmp.claims.measurement import Measurement, not_tested
from dmp.claims.numbers import Numbers
from dmp.claims.reason import reason
from dmp.claims.schema import Claims
from dmp.recipes import DECAYED, PAPER
from dmp.statistics.arms import Arms, Unmeasured
from dmp.statistics.paired import power, units_needed
from dmp.statistics.results import typed
from dmp.statistics.robust import hodges_lehmann, sign_flip_p, skewness

COLUMNS = {
    "claim": "text", "evidence": "count", "recipe": "text", "test": "text", "task": "text",
    "variant": "text", "against": "text", "metric": "text", "endpoint": "text", "predicts": "text",
    "effect": "number", "low": "number", "high": "number", "percent_of": "text",
    "relevant": "number", "p_for": "number", "p_against": "number", "p_for_holm": "number",
    "p_against_holm": "number", "n": "count", "unit": "text", "further": "count", "sd": "number",
    "detectable": "number", "units_relevant": "count", "units_paper": "count", "power": "number",
    "skewness": "number", "p_t": "number", "p_sign_flip": "number", "hodges_lehmann": "number",
    "hodges_lehmann_low": "number", "hodges_lehmann_high": "number", "paper_effect": "number",
    "paper_excluded": "truth", "verdict": "text", "finding": "text", "reason": "text",
}  # fmt: skip


def evaluate(
    claims: Claims,
    results: pd.DataFrame,
    parameters: pd.DataFrame | None = None,
    speed: pd.DataFrame | None = None,
    not_run: Mapping[str, str] | None = None,
    no_recipe: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
    spread: pd.DataFrame | None = None,
    own: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Judge every piece of evidence in every endpoint, on every recipe.

    Args:
        results, parameters, speed: see :mod:`dmp.statistics.results`.
        not_run: task to the reason why this scale leaves it out.
        no_recipe: task to the reason why it has baselines of the paper's recipe alone.
        left_out: id of a claim to the reason why nothing is run for it at this scale.
        spread: results of further baselines, for the standard deviation; see
            :class:`dmp.statistics.arms.Arms`.
        own: id of a claim to the results that it is judged by, in place of ``results``.

    Returns:
        One row per claim, piece of evidence, endpoint and recipe, with ``COLUMNS``. ``endpoint`` is
        the one that a row counts for: evidence of another kind, such as divergence, counts with the
        primary one. Of a further recipe there are rows for evidence that rests on runs.
        ``effect``, ``low``, ``high``, ``relevant``, ``sd``, ``detectable``, ``paper_effect`` and
        those of the Hodges-Lehmann estimate are in percent of ``percent_of``. ``p_for`` and
        ``p_against`` are one-sided; ``_holm`` marks those corrected as :mod:`dmp.claims.judge`
        says, which are compared with :attr:`dmp.claims.schema.Claims.each_way`. ``detectable``,
        ``power`` and the two numbers of units are for a test at that level, not corrected, at the
        observed ``sd``:
        ``units_relevant`` find a relevant effect, and exclude one where there is none, with 80 %
        power; ``units_paper`` find, and ``power`` is for, the paper's own effect. ``p_t`` of
        no effect at all and ``p_sign_flip`` are two-sided.

    Raises:
        DMPError: the results are malformed, or what is to be compared was measured differently.
    """
    numbers = Numbers(Arms(results, spread), not_run or {}, parameters, speed)
    own_arms = {name: Arms(found, spread) for name, found in (own or {}).items()}
    tested = measure(claims, numbers, no_recipe, left_out, own_arms)
    table = []
    for each, verdict in zip(tested, judge(tested, claims.each_way), strict=True):
        row: dict[str, Any] = {"claim": each.claim, "evidence": each.number}
        row |= {"recipe": each.recipe, "endpoint": each.endpoint, "test": each.evidence.test}
        row |= {"predicts": each.evidence.prediction()} | each.evidence.compared()
        row |= _numbers(each.found, claims.each_way)
        row |= {"verdict": verdict.verdict, "finding": verdict.finding}
        row |= {"p_for_holm": verdict.p_for, "p_against_holm": verdict.p_against}
        if each.evidence.recipe == DECAYED:
            row["variant"] += " (decayed baselines)"
        row["reason"] = reason(each.found, each.evidence, verdict, row, claims.each_way)
        table.append(row)
    return typed(table, COLUMNS)


def measure(
    claims: Claims,
    numbers: Numbers,
    no_recipe: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
    own_arms: Mapping[str, Arms] | None = None,
) -> list[Tested]:
    """Measure all evidence in all endpoints, on all recipes; errors as :func:`evaluate`.

    Args:
        own_arms: id of a claim to what it is judged by in place of ``numbers.results``.
    """
    tested, absent = [], left_out or {}
    endpoints = [entry.metric for entry in claims.endpoints]
    for column, own, claim, number, evidence in claims.on_recipes():
        lacking = {} if own == PAPER else no_recipe or {}
        for metric, endpoint in evidence.metrics(endpoints):
            asked = replace(
                numbers,
                results=(own_arms or {}).get(claim.id, numbers.results),
                metric=metric,
                sign=claims.sign(metric),
                primary=metric == claims.primary,
                relevant=claims.relevant(evidence, metric),
                recipe=own,
                not_run={**lacking, **numbers.not_run},
            )
            try:
                if claim.id in absent and (evidence.runs() or evidence.timed()):
                    raise Unmeasured(f"not run at this scale: {absent[claim.id]}")
                found = evidence.measure(asked)
            except Unmeasured as missing:
                found = not_tested(metric, str(missing))
            tested.append(Tested(claim.id, number, endpoint, column, evidence, found))
    return tested


def _numbers(found: Measurement, level: float) -> dict[str, Any]:
    effect = found.source
    smallest = math.nan if effect is None else effect.percent(effect.found.detectable(level))
    row = vars(found) | {"percent_of": found.of, "paper_excluded": found.paper_excluded}
    row["detectable"] = smallest
    if effect is None or found.n is None or found.n < 2:
        return row
    relevant, papers = map(effect.standardised, (found.relevant, found.paper_effect))
    centre, low, high = hodges_lehmann(effect.found.units)
    return row | {
        "units_relevant": _needed(relevant, level),
        "units_paper": _needed(papers, level),
        "power": math.nan if math.isnan(papers) else power(papers, found.n, effect.found.df, level),
        "skewness": skewness(effect.found.units),
        "p_t": 2 * min(effect.found.p_below(0), effect.found.p_above(0)),
        "p_sign_flip": sign_flip_p(effect.found.units),
        "hodges_lehmann": effect.percent(centre),
        "hodges_lehmann_low": effect.percent(low),
        "hodges_lehmann_high": effect.percent(high),
    }


def _needed(effect: float, level: float) -> int | None:
    """Return how many units find an effect; none for 0, which has no direction to be found."""
    return None if math.isnan(effect) or effect == 0 else units_needed(effect, level)
