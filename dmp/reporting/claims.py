"""The page that tells which sentences of the paper, or hypotheses of ours, the results support."""

import math
from collections.abc import Hashable, Mapping

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
from dmp.reporting.compared import Piece
from dmp.reporting.page import Page, Section, Table
from dmp.statistics.formatting import MISSING, format_interval, format_number, format_p
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records
from dmp.studies.schema import Scale

_ON = {DECAYED: "On decayed baselines"}
_SHORT = ["Piece", "Task", "Comparison", "Metric", "Predicted", "Verdict", "Effect / %",
          "Paper / %", "Relevant / %", "for, Holm", "against, Holm", "n"]  # fmt: skip
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
            for claim, row in zip(claims.claims, summary.to_dict("records"), strict=True)
        ],
        notes=[
            f"{name}-evidence has all pieces of evidence, in all endpoints; {name}.csv all digits.",
            *notes(claims, bool(spread)),
        ],
    )


def evidence_page(claims: Claims, evaluated: pd.DataFrame, scale: Scale) -> Page:
    """Return a page with every piece of evidence in every endpoint."""
    frame, spread = pd.DataFrame(map(_line, records(evaluated))), _spread(evaluated)
    if len(claims.recipes) == 1:
        frame = frame.drop(columns="Recipe")
    words = list(frame).index("Effect / %")
    return Page(
        title=f"{claims.title}: all evidence",
        warning=_warning(scale),
        introduction=[_what(claims, scale), *spread],
        tables=[
            Table("All pieces of evidence, with 95 % intervals", frame, words),
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


def _section(
    claim: Claim, row: Mapping[Hashable, str], claims: Claims, evaluated: pd.DataFrame
) -> Section:
    """Return what a claim rests on in the primary endpoint, on the recipe that counts."""
    told = [claim.statement]
    if claim.location:
        told.append(f"{claim.location}.")
    told.append(f"{_marked(row['verdict'])}: {row['reason']}.")
    for recipe in claims.recipes[1:]:
        verdict, reason = row[f"verdict_{recipe}"], row[f"reason_{recipe}"]
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


def _short_line(row: Piece) -> dict[str, str]:
    line = _line(row)
    # A verdict without a test says why.
    why = f": {row.reason}" if math.isnan(row.p_for) else ""
    line |= {"Piece": line["Claim"], "Verdict": _marked(row.verdict) + why}
    return {name: line[name] for name in _SHORT}


def _on_recipe(verdict: str, lacking: bool) -> str:
    if lacking and verdict == NOT_TESTED:
        return "no decayed recipe at this scale"
    return _marked(verdict)


def _line(row: Piece) -> dict[str, str]:
    against = f" against {row.against}" if row.against else ""
    return {
        "Claim": f"{row.claim}.{row.evidence}",
        "Recipe": row.recipe,
        "Test": row.test,
        "Task": row.task or MISSING,
        "Comparison": f"{row.variant}{against}" or MISSING,
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
        "n": MISSING if pd.isna(row.n) else count_of_units(row.n, row.unit, row.further),
        "Smallest detectable / %": format_number(row.detectable),
        "Units for the relevant effect": _count(row.units_relevant),
        "Units for the paper's": _count(row.units_paper),
        "Power for the paper's": MISSING if math.isnan(row.power) else f"{row.power:.2f}",
        "Paper / %": format_number(row.paper_effect),
        "Why": row.reason,
    }


def _robust(evaluated: pd.DataFrame) -> pd.DataFrame:
    rows = list(records(evaluated[evaluated["p_sign_flip"].notna()]))
    return pd.DataFrame(
        {
            "Claim": [f"{row.claim}.{row.evidence}" for row in rows],
            "Recipe": [row.recipe for row in rows],
            "Metric": [metric_label(row.metric) for row in rows],
            "Mean / %": [format_interval(row.effect, row.low, row.high) for row in rows],
            "Hodges–Lehmann / %": [
                format_interval(row.hodges_lehmann, row.hodges_lehmann_low, row.hodges_lehmann_high)
                for row in rows
            ],
            "p, t, two-sided": [format_p(row.p_t) for row in rows],
            "p, sign flips": [format_p(row.p_sign_flip) for row in rows],
            "Skewness": [format_number(row.skewness) for row in rows],
        }
    )


def _count(value: int) -> str:
    return MISSING if pd.isna(value) else f"{value}"
