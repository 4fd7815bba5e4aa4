"""The page that tells which sentences of the paper, or hypotheses of ours, the results support."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from dmp.claims.measurement import NOT_TESTED, VERDICTS
from dmp.claims.recipe import DECAYED
from dmp.claims.schema import Claims
from dmp.claims.summary import decided, summarise
from dmp.reporting.claims_notes import notes
from dmp.reporting.page import Page, Table
from dmp.statistics.formatting import MISSING, format_interval, format_number, format_p
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records
from dmp.studies.schema import Scale

_ON = {DECAYED: "On decayed baselines"}


def claims_page(
    claims: Claims,
    evaluated: pd.DataFrame,
    scale: Scale,
    no_recipe: Mapping[str, str] | None = None,
) -> Page:
    """Return the page of all claims.

    Args:
        claims: the claims.
        evaluated: from :func:`dmp.claims.evaluate.evaluate`.
        scale: the scale.
        no_recipe: as given there.

    """
    summary = summarise(evaluated, claims)
    warning = (
        f"Scale '{scale.name}' is too small for any conclusion: this page shows that every "
        f"verdict is computed, and none of them may be believed."
    )
    lines = [_line(row, claims) for row in records(evaluated)]
    words = 8 if len(claims.recipes) > 1 else 7
    main = _summary(claims, summary, set(no_recipe or {}) >= set(scale.tasks))
    return Page(
        title=claims.title,
        warning="" if scale.conclusive else warning,
        introduction=[_what(claims, scale), *_counts(claims, summary)],
        tables=[
            Table("One verdict for each, and endpoint by endpoint", main, main.shape[1]),
            Table("All pieces of evidence, with 95 % intervals", pd.DataFrame(lines), words),
            Table("Other readings of the same numbers; they decide nothing", _robust(evaluated), 3),
        ],
        notes=[
            *(f"{claim.id}: {claim.remark}" for claim in claims.claims if claim.remark),
            *notes(claims),
        ],
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


def _summary(claims: Claims, summary: pd.DataFrame, lacking: bool) -> pd.DataFrame:
    columns = {"Claim": summary["claim"], "Statement": summary["statement"]}
    if (summary["location"] != "").any():
        columns["Where"] = summary["location"]
    several = len(claims.endpoints) > 1
    verdict = f"Verdict ({metric_name(claims.primary)})" if several else "Verdict"
    columns[verdict] = summary["verdict"] + ": " + summary["reason"]
    for recipe in claims.recipes[1:]:
        rows = zip(summary[f"verdict_{recipe}"], summary[f"reason_{recipe}"], strict=True)
        told = [_on_recipe(own, reason, lacking) for own, reason in rows]
        columns[_ON[recipe]] = pd.Series(told, index=summary.index)
    for endpoint in claims.endpoints[1:]:
        columns[metric_name(endpoint.metric)] = summary[f"verdict_{endpoint.metric}"]
    if (summary["contradicted_in_paper"] != "").any():
        columns["The paper against itself"] = summary["contradicted_in_paper"]
    return pd.DataFrame(columns).replace("", MISSING)


def _on_recipe(verdict: str, reason: str, lacking: bool) -> str:
    if not verdict:
        return ""
    if lacking and verdict == NOT_TESTED:
        return "no decayed recipe at this scale"
    return f"{verdict}: {reason}"


def _line(row: Any, claims: Claims) -> dict[str, str]:
    against = f" against {row.against}" if row.against else ""
    recipes = {"Recipe": row.recipe} if len(claims.recipes) > 1 else {}
    return {
        "Claim": f"{row.claim}.{row.evidence}",
        **recipes,
        "Test": row.test,
        "Task": row.task or MISSING,
        "Comparison": f"{row.variant}{against}" or MISSING,
        "Metric": metric_label(row.metric),
        "Predicted": row.predicts or MISSING,
        "Verdict": f"{row.verdict}: {row.reason}",
        "Effect / %": format_interval(row.effect, row.low, row.high),
        "Of": row.percent_of or MISSING,
        "Relevant / %": MISSING if math.isnan(row.relevant) else f"{row.relevant:g}",
        "p for": format_p(row.p_for),
        "p against": format_p(row.p_against),
        "for, Holm": format_p(row.p_for_holm),
        "against, Holm": format_p(row.p_against_holm),
        "n": MISSING if pd.isna(row.n) else f"{row.n} {row.unit}{'' if row.n == 1 else 's'}",
        "Smallest detectable / %": format_number(row.detectable),
        "Units for the relevant effect": _count(row.units_relevant),
        "Units for the paper's": _count(row.units_paper),
        "Power for the paper's": MISSING if math.isnan(row.power) else f"{row.power:.2f}",
        "Paper / %": format_number(row.paper_effect),
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
