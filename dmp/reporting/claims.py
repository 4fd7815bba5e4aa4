"""The page that tells which sentences of the paper the results support."""

import math
from typing import Any

import pandas as pd

from dmp.claims.measurement import VERDICTS
from dmp.claims.schema import Claims
from dmp.claims.summary import summarise
from dmp.reporting.page import Page, Table
from dmp.statistics.formatting import (
    MISSING,
    format_interval,
    format_number,
    format_p,
    format_percent,
)
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records
from dmp.studies.schema import Scale


def claims_page(claims: Claims, evaluated: pd.DataFrame, scale: Scale) -> Page:
    """Return the page of all claims.

    Args:
        claims: the claims.
        evaluated: from :func:`dmp.claims.evaluate.evaluate`.
        scale: the scale.

    """
    summary = summarise(evaluated, claims)
    warning = (
        f"Scale '{scale.name}' is too small for any conclusion: this page shows that every "
        f"verdict is computed, and none of them may be believed."
    )
    counts = [f"{int((summary['verdict'] == name).sum())} {name}" for name in VERDICTS]
    lines = [_line(row) for row in records(evaluated)]
    return Page(
        title="What the paper claims, and what the results say about it",
        warning="" if scale.conclusive else warning,
        introduction=[
            f"Scale '{scale.name}' ({scale.title}). The claims are in our own words. Data, "
            f"backbones and evaluation are not the paper's: what is compared is the direction and "
            f"the relative size of effects.",
            f"Of {len(summary)} claims: {', '.join(counts)}.",
        ],
        tables=[
            Table("One verdict per claim and endpoint", _summary(claims, summary), 8),
            Table("All pieces of evidence, with 95 % intervals", pd.DataFrame(lines), 7),
        ],
        notes=[
            *(f"{claim.id}: {claim.remark}" for claim in claims.claims if claim.remark),
            *_notes(claims),
        ],
    )


def _summary(claims: Claims, summary: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "Claim": summary["claim"],
        "Statement": summary["statement"],
        "Where": summary["location"],
        f"Verdict ({metric_name(claims.primary)})": summary["verdict"] + ": " + summary["reason"],
    }
    for endpoint in claims.endpoints[1:]:
        columns[metric_name(endpoint.metric)] = summary[f"verdict_{endpoint.metric}"]
    columns["The paper against itself"] = summary["contradicted_in_paper"]
    return pd.DataFrame(columns).replace("", MISSING)


def _line(row: Any) -> dict[str, str]:
    relative = _percent(row.relative_effect)
    if not math.isnan(row.relative_low):
        low, high = (format_percent(x)[:-2] for x in (row.relative_low, row.relative_high))
        relative += f" [{low}, {high}]"
    against = f" against {row.against}" if row.against else ""
    return {
        "Claim": f"{row.claim}.{row.evidence}",
        "Test": row.test,
        "Task": row.task or MISSING,
        "Comparison": f"{row.variant}{against}" or MISSING,
        "Metric": metric_label(row.metric),
        "Predicted": row.predicts or MISSING,
        "Verdict": f"{row.verdict}: {row.reason}",
        "Effect [interval]": format_interval(row.effect, row.low, row.high),
        "Relative": relative,
        "p": format_p(row.p),
        "p, Holm": format_p(row.p_holm),
        "n": MISSING if pd.isna(row.n) else f"{row.n} {row.unit}{'' if row.n == 1 else 's'}",
        "Smallest detectable": format_number(row.detectable),
        "Units needed": MISSING if pd.isna(row.seeds_needed) else f"{row.seeds_needed}",
        "Power": MISSING if math.isnan(row.power) else f"{row.power:.2f}",
        "Paper, relative": _percent(row.paper_relative_effect),
    }


def _percent(value: float) -> str:
    return MISSING if math.isnan(value) else format_percent(value)


def _notes(claims: Claims) -> list[str]:
    level = f"{100 * claims.level:g} %"
    return [
        "A piece of evidence is supported if its corrected p value is below "
        f"{level} in the predicted direction, contradicted if it is in the opposite one, and "
        "inconclusive otherwise. A claim is supported if all that was tested of it is, and "
        "contradicted if any of it is.",
        f"Holm: corrected over the claims of a study, for each endpoint by itself, so that the "
        f"chance of any false verdict there is at most {level}. A test on which several claims of "
        f"a study rest counts once. Tests of other metrics, such as divergence, count with "
        f"{metric_name(claims.primary)}.",
        "'Not better by more than 5 %' is supported if a larger improvement is excluded, and "
        "contradicted by any improvement that is found. 'Equal within 5 %' is supported by two "
        "one-sided tests (TOST), and contradicted by a difference that is larger for sure. These "
        "percentages are shares of the mean of the arm that is compared with.",
        "Relative: the effect in percent of that mean, taken as known. Smallest detectable: the "
        "true effect that a two-sided test at the 5 % level, not corrected, would find with 80 % "
        "power at the observed standard deviation. Units needed: how many seeds (or baselines) "
        "would find an effect of the paper's own relative size in the same way. Power: how often "
        "the units at hand would.",
        "Intervals and p values take the differences between units for normal; the unit is the "
        "seed where all seeds rest on one baseline, and otherwise the baseline. Divergence is "
        "compared by Fisher's exact test, with Newcombe's interval of the difference and those of "
        "Clopper and Pearson for each share.",
    ]
