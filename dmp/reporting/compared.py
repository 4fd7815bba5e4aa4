"""What a page of evidence calls the variants that it compares: as the study that compares them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import pandas as pd

from dmp.studies.schema import Study

# Between variants in one cell: of a trend, and of an interaction.
_BETWEEN = re.compile(r"( → | \+ | − )")


class Piece(Protocol):
    """A piece of evidence: what pages and figures read of a row of such a table.

    The columns are described at :func:`dmp.claims.evaluate.evaluate`.
    """

    claim: str
    evidence: int
    recipe: str
    test: str
    task: str
    variant: str
    against: str
    metric: str
    predicts: str
    effect: float
    low: float
    high: float
    percent_of: str
    relevant: float
    p_for: float
    p_against: float
    p_for_holm: float
    p_against_holm: float
    n: int
    unit: str
    further: int
    detectable: float
    units_relevant: int
    units_paper: int
    power: float
    paper_effect: float
    verdict: str
    reason: str


def in_words(evaluated: pd.DataFrame, studies: Iterable[Study]) -> pd.DataFrame:
    """Return evidence with the labels of tables and figures in place of variants' names.

    They are those of a study that has all variants of the comparison: of several, the one with the
    fewest that have no label, then with the fewest methods under another name than their own; then
    the paper's tables come first. Where no study has them all, or there is one variant alone, the
    names stay.

    Args:
        evaluated: from :func:`dmp.claims.evaluate.evaluate`.
    """
    # Between studies that are as good, the one named first.
    tables = [
        (not study.source, {(cell.task, cell.variant): cell.label for cell in study.cells})
        for study in sorted(studies, key=lambda study: study.id)
    ]
    rows = evaluated[["task", "variant", "against"]].fillna("").itertuples(index=False)
    told = [_told(*row, tables=tables) for row in rows]
    return evaluated.assign(variant=[v for v, _ in told], against=[a for _, a in told])


def _told(
    task: str,
    variant: str,
    against: str,
    tables: Sequence[tuple[bool, Mapping[tuple[str, str], str]]],
) -> tuple[str, str]:
    parts = [_BETWEEN.split(text) for text in (variant, against)]
    names = [name for part in parts for name in part[::2] if name]
    found = []
    for ours, labels in tables:
        if all((task, name) in labels for name in names):
            unlabelled = sum("," in name and labels[task, name] == name for name in names)
            renamed = sum("," not in name and labels[task, name] != name for name in names)
            found.append(((unlabelled, renamed, ours), labels))
    if len(names) < 2 or not found:
        return variant, against
    _, labels = min(found, key=lambda each: each[0])
    one, other = ("".join(labels.get((task, text), text) for text in part) for part in parts)
    return one, other
