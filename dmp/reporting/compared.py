"""What a page of evidence calls the variants that it compares: as the study that compares them."""

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from dmp.studies.schema import Study

# Between variants in one cell: of a trend, and of an interaction.
_BETWEEN = re.compile(r"( → | \+ | − )")


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
            same = [labels[task, name] == name for name in names]
            bare = ["," not in name for name in names]
            unlabelled = sum(s and not b for s, b in zip(same, bare, strict=True))
            renamed = sum(b and not s for s, b in zip(same, bare, strict=True))
            found.append(((unlabelled, renamed, ours), labels))
    if len(names) < 2 or not found:
        return variant, against
    _, labels = min(found, key=lambda each: each[0])
    one, other = ("".join(labels.get((task, text), text) for text in part) for part in parts)
    return one, other
