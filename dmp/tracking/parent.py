"""The run that stands for a study: its tables, and links to what it compares."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

# MLflow cuts a tag's value at 8,000 characters.
_MAX_DESCRIPTION = 7800


@dataclass(frozen=True)
class Parent:
    """A study as an MLflow run, the parent of the runs of its cells.

    Attributes:
        name: unique within the experiment: the study's id.
        title: first line of the description.
        artifacts: path among the run's artifacts to the file to keep there.
        comparisons: what to call each, and the names of the runs that it compares.
        differences: what a comparison came to, by what it is called.
        metrics: means and differences, with the bounds of their intervals.
    """

    name: str
    title: str
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    comparisons: Sequence[tuple[str, Sequence[str]]] = ()
    differences: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def describe(
    parent: Parent, experiment_id: str, ids: Mapping[str, str], most: int = _MAX_DESCRIPTION
) -> str:
    """Return a parent's description in Markdown: each comparison is a link to MLflow's own page.

    Behind the link stands what the comparison came to.

    Args:
        experiment_id: of the experiment that the runs are in.
        ids: the runs' ids, by name; a comparison with a run that is not there has no link.
        most: how many characters it may have.
    """
    entries = []
    for label, names in parent.comparisons:
        if all(name in ids for name in names):
            runs = json.dumps([ids[name] for name in names], separators=(",", ":"))
            where = f"runs={quote(runs, safe=',')}&experiments={quote(json.dumps([experiment_id]))}"
            told = f": {parent.differences[label]}" if label in parent.differences else ""
            entries.append(f"- [{label}](#/compare-runs?{where}){told}\n")
    text = f"**{parent.title}**"
    # MLflow folds all but the first line away.
    text += next((f"; {label}: {told}" for label, told in parent.differences.items()), "")
    text += "\n\nCompare, all seeds:\n\n" if entries else "\n\n"
    for number, entry in enumerate(entries):
        left = len(entries) - number
        if len(text) + len(entry) > most:
            return text + f"\n{left} more: tick their runs, or use `dmp compare`.\n"
        text += entry
    return text
