"""The page that tells which sentences of the paper, or hypotheses of ours, the results support."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dmp.claims.measurement import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_TESTED,
    SUPPORTED,
    VERDICTS,
    count_of_units,
)
from dmp.claims.schema import Claim, Claims
from dmp.claims.summary import decided, summarise
from dmp.recipes import DECAYED
from dmp.reporting.claims_notes import notes
from dmp.reporting.page import Page, Section, Table
from dmp.statistics.formatting import MISSING, format_interval, format_number, format_p
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records
from dmp.studies.schema import Scale

_ON = {DECAYED: "On decayed baselines"}
MARKS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "○", NOT_TESTED: MISSING}


def claims_page(
    claims: Claims,
    evaluated: pd.DataFrame,
    scale: Scale,
    no_recipe: Mapping[str, str] | None = None,
    name: str = "claims",
) -> Page:
    """Return the page of all claims: one row each, and what it rests on in a section of its own.

    Args:
        evaluated: from :func:`dmp.claims.evaluate.evaluate`.
        no_recipe: as given there.
        name: of the page's files.
    """
    summary, spread = summarise(evaluated, claims), _spread(evaluated)
    verdicts = _verdicts(claims, summary)
    marks = ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items())
    narrow = verdicts.iloc[:, :2].assign(**{"": summary["verdict"].map(MARKS)})
    narrow.insert(0, "Group", "")
    tables = [
        Table("One row for each claim, which links to its evidence", verdicts, 4, narrow,
              f"In {metric_name(claims.primary)}: {marks}.", linked=True),
    ]  # fmt: skip
    endpoints = _endpoints(claims, summary, set(no_recipe or {}) >= set(scale.tasks))
    if endpoints.shape[1] > 2:
        tables.append(Table("Endpoint by endpoint", endpoints, endpoints.shape[1], linked=True))
    return Page(
        title=claims.title,
        warning=_warning(scale),
        introduction=[_what(claims, scale), *_counts(claims, summary), *spread],
        tables=tables,
        picture=(
            f"figures/{name}/{name}-forest.png",
            "The evidence that decides on each claim, with its 95 % interval",
        ),
        sections=[
            _section(claim, row, claims, evaluated)
            for claim, row in zip(claims.claims, records(summary), strict=True)
        ],
        notes=[
            f"{name}-evidence has all pieces of evidence, in all endpoints; {name}.csv all digits.",
            *notes(claims, bool(spread)),
        ],
    )


def evidence_page(claims: Claims, evaluated: pd.DataFrame, scale: Scale) -> Page:
    """Return a page with every piece of evidence in every endpoint."""
    lines, spread = [_line(row, claims) for row in records(evaluated)], _spread(evaluated)
    words = 8 if len(claims.recipes) > 1 else 7
    return Page(
        title=f"{claims.title}: all evidence",
        warning=_warning(scale),
        introduction=[_what(claims, scale), *spread],
        tables=[
            Table("All pieces of evidence, with 95 % intervals", pd.DataFrame(lines), words),
            Table("Other readings of the same numbers; they decide nothing", _robust(evaluated), 3),
        ],
        notes=notes(claims, bool(spread)),
    )


def _warning(scale: Scale) -> str:
    if scale.conclusive:
        return ""
    return (
        f"Scale '{scale.name}' is too small for any conclusion: this page shows that every "
        f"verdict is computed, and none of them may be believed."
    )


def _what(claims: Claims, scale: Scale) -> str:
    where = f"Scale '{scale.name}' ({scale.title})."
    if any(claim.location for claim in claims.claims):
        return (
            f"{where} The claims are in our own words. Data, backbones and evaluation are not the "
            f"paper's: what is compared is the direction and the relative size of effects."
        )
    return f"{where} Statements and margins were written down before these numbers were computed."


def _counts(claims: Claims, summary: pd.DataFrame) -> list[str]:
    counts = [f"{int((summary['verdict'] == name).sum())} {name}" for name in VERDICTS]
    done, testable = decided(summary["verdict"])
    lines = [f"{done} of {testable} testable claims are decided. Of all {len(summary)}: "
             f"{', '.join(counts)}."]  # fmt: skip
    for recipe in claims.recipes[1:]:
        done, testable = decided(summary[f"verdict_{recipe}"])
        if testable:
            lines.append(f"{_ON[recipe]} {done} of {testable} are decided.")
    return lines


def _spread(evaluated: pd.DataFrame) -> list[str]:
    further = evaluated["further"].max()
    if pd.isna(further) or further == 0:
        return []
    return [
        f"How much baselines differ is known from up to {further} more of the committed reference, "
        f"which have the same settings; every mean is of this run's own baselines alone."
    ]


def _verdicts(claims: Claims, summary: pd.DataFrame) -> pd.DataFrame:
    several = len(claims.endpoints) > 1
    verdict = f"Verdict ({metric_name(claims.primary)})" if several else "Verdict"
    return pd.DataFrame(
        {
            "Claim": summary["claim"],
            "Statement": summary["statement"],
            verdict: summary["verdict"].map(_marked),
            "Why": summary["why"],
        }
    )


def _endpoints(claims: Claims, summary: pd.DataFrame, lacking: bool) -> pd.DataFrame:
    """Return the verdicts in all endpoints, and on further recipes in the primary one."""
    columns = {"Claim": summary["claim"]}
    columns[metric_name(claims.primary)] = summary["verdict"].map(_marked)
    for recipe in claims.recipes[1:]:
        own = summary[f"verdict_{recipe}"].map(lambda verdict: _on_recipe(verdict, lacking))
        columns[_ON[recipe]] = own
    for endpoint in claims.endpoints[1:]:
        columns[metric_name(endpoint.metric)] = summary[f"verdict_{endpoint.metric}"].map(_marked)
    return pd.DataFrame(columns)


def _marked(verdict: str) -> str:
    return f"{MARKS[verdict]} {verdict}" if verdict else MISSING


def _section(claim: Claim, row: Any, claims: Claims, evaluated: pd.DataFrame) -> Section:
    """Return what a claim rests on in the primary endpoint, on the recipe that counts."""
    told = [claim.statement]
    if claim.location:
        told.append(f"{claim.location}.")
    told.append(f"{_marked(row.verdict)}: {row.reason}.")
    for recipe in claims.recipes[1:]:
        verdict, reason = getattr(row, f"verdict_{recipe}"), getattr(row, f"reason_{recipe}")
        told += [f"{_ON[recipe]} {verdict}: {reason}."] if verdict else []
    told += [claim.remark] if claim.remark else []
    if claim.contradicted_in_paper:
        told.append(f"The paper against itself: {claim.contradicted_in_paper}")
    own = evaluated[
        (evaluated["claim"] == claim.id)
        & (evaluated["recipe"] == claims.recipes[0])
        & (evaluated["endpoint"] == claims.primary)
    ]
    lines = pd.DataFrame([_short_line(piece) for piece in records(own)])
    return Section(claim.id, told, [Table("Evidence, with 95 % intervals", lines, 6)])


def _short_line(row: Any) -> dict[str, str]:
    # A verdict without a test says why.
    why = f": {row.reason}" if math.isnan(row.p_for) else ""
    return {
        "Piece": f"{row.claim}.{row.evidence}",
        "Task": row.task or MISSING,
        "Comparison": _compared(row),
        "Metric": metric_label(row.metric),
        "Predicted": row.predicts or MISSING,
        "Verdict": _marked(row.verdict) + why,
        "Effect / %": format_interval(row.effect, row.low, row.high),
        "Paper / %": format_number(row.paper_effect),
        "Relevant / %": MISSING if math.isnan(row.relevant) else f"{row.relevant:g}",
        "for, Holm": format_p(row.p_for_holm),
        "against, Holm": format_p(row.p_against_holm),
        "n": _units(row),
    }


def _compared(row: Any) -> str:
    return f"{row.variant}{f' against {row.against}' if row.against else ''}" or MISSING


def _units(row: Any) -> str:
    return MISSING if pd.isna(row.n) else count_of_units(row.n, row.unit, row.further)


def _on_recipe(verdict: str, lacking: bool) -> str:
    if lacking and verdict == NOT_TESTED:
        return "no decayed recipe at this scale"
    return _marked(verdict)


def _line(row: Any, claims: Claims) -> dict[str, str]:
    recipes = {"Recipe": row.recipe} if len(claims.recipes) > 1 else {}
    return {
        "Claim": f"{row.claim}.{row.evidence}",
        **recipes,
        "Test": row.test,
        "Task": row.task or MISSING,
        "Comparison": _compared(row),
        "Metric": metric_label(row.metric),
        "Predicted": row.predicts or MISSING,
        "Verdict": row.verdict,
        "Effect / %": format_interval(row.effect, row.low, row.high),
        "Of": row.percent_of or MISSING,
        "Relevant / %": MISSING if math.isnan(row.relevant) else f"{row.relevant:g}",
        "p for": format_p(row.p_for),
        "p against": format_p(row.p_against),
        "for, Holm": format_p(row.p_for_holm),
        "against, Holm": format_p(row.p_against_holm),
        "n": _units(row),
        "Smallest detectable / %": format_number(row.detectable),
        "Units for the relevant effect": _count(row.units_relevant),
        "Units for the paper's": _count(row.units_paper),
        "Power for the paper's": MISSING if math.isnan(row.power) else f"{row.power:.2f}",
        "Paper / %": format_number(row.paper_effect),
        "Why": row.reason,
    }


def _robust(evaluated: pd.DataFrame) -> pd.DataFrame:
    rows = evaluated[evaluated["p_sign_flip"].notna()]
    lines = [
        {
            "Claim": f"{row.claim}.{row.evidence}",
            "Recipe": row.recipe,
            "Metric": metric_label(row.metric),
            "Mean / %": format_interval(row.effect, row.low, row.high),
            "Hodges–Lehmann / %": format_interval(
                row.hodges_lehmann, row.hodges_lehmann_low, row.hodges_lehmann_high
            ),
            "p, t, two-sided": format_p(row.p_t),
            "p, sign flips": format_p(row.p_sign_flip),
            "Skewness": format_number(row.skewness),
        }
        for row in records(rows)
    ]
    columns = ["Claim", "Recipe", "Metric", "Mean / %", "Hodges–Lehmann / %", "p, t, two-sided",
               "p, sign flips", "Skewness"]  # fmt: skip
    return pd.DataFrame(lines, columns=columns)


def _count(value: Any) -> str:
    return MISSING if pd.isna(value) else f"{value}"
