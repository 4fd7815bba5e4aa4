"""Handing all runs, baselines and tables of a scale to MLflow; no torch."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dmp.errors import DMPError
from dmp.files import write_json
from dmp.layout import Layout
from dmp.methods import on_recipe
from dmp.products.results import tracking_product
from dmp.recipes import DECAYED, PAPER
from dmp.studies import Plan
from dmp.studies.plan import CLAIMS, HYPOTHESES
from dmp.tracking import FoldersError, IngestReport, Parent, ingest
from dmp.tracking.headline import differences, numbers
from dmp.tracking.record import identity, run_name
from dmp.unreachable import words_of

# A server that answers, but too slowly, must not hold up a workflow for ever.
GIVE_UP_AFTER_S = 1800.0

_SUFFIXES = (".md", ".csv", ".html")


@dataclass(frozen=True)
class Experiment:
    """An experiment of MLflow: the tags of the run of each folder, and the run above them."""

    name: str
    folders: Mapping[Path, Mapping[str, str]]
    parent: Parent | None = None


def track(
    plan: Plan,
    layout: Layout,
    target: str,
    uri: str = "",
    give_up_after: float = GIVE_UP_AFTER_S,
    optional: bool = False,
) -> str:
    """Bring the scale's MLflow experiments up to date; return one line that says what changed.

    Runs that are still training are there as far as they have come, those that have not begun are
    missing; then nothing is marked as finished, and the line ends with how many they are.

    Each study of the target is an experiment ``<scale>/<study>``, with a run for the study and, as
    its children, those of its cells; ``<scale>/baselines`` has the baselines' own training, and
    ``<scale>/claims`` or ``<scale>/hypotheses`` the verdicts and the runs that they alone need. A
    run of several studies stands in the experiment of each, so that each can be compared as it is.

    Args:
        target: ``tables`` or ``studies``: whose runs.
        uri: address of a server, or empty for the SQLite store under ``results/``.
        give_up_after: seconds; what is there by then stays, and the next call goes on from there.
        optional: warn in place of failing: the summary says why not all is there. It is not taken
            for finished, so that the next call of the workflow tries again.

    Raises:
        FoldersError: some runs cannot be read; all others have been handed over.
        DMPError: the store cannot be used, or not in time.
    """
    try:
        handed, said = _track(plan, layout, target, uri, give_up_after)
    except Exception as error:  # whatever it is, results do not depend on it
        if not optional:
            raise
        why = str(error) if isinstance(error, DMPError) else words_of(error)
        tracking_product(plan, layout, target).record.unlink(missing_ok=True)
        summary = {"experiment": plan.name, "runs": None, "not tracked": why}
        write_json(layout.tracking_summary(target), summary)
        return f"warning: not all is in MLflow: {why}"
    if handed is None:
        return said
    # Without what changed this time: the summary should not differ when nothing does.
    write_json(layout.tracking_summary(target), {"experiment": plan.name, "runs": handed})
    tracking_product(plan, layout, target).mark_finished()
    return said


def _track(
    plan: Plan, layout: Layout, target: str, uri: str, give_up_after: float
) -> tuple[int | None, str]:
    """Bring the experiments up to date; return how many runs they have, and what has changed.

    There is no such number while runs are training or are not there yet.
    """
    uri = uri or _own_store(layout.tracking_store.resolve())
    deadline = time.monotonic() + give_up_after
    report, failure, handed = IngestReport(0, 0, 0), None, 0
    for each in experiments(plan, layout, target):
        folders = list(each.folders)
        handed += len(folders)
        try:
            done = ingest(
                folders,
                uri,
                f"{plan.name}/{each.name}",
                parent=each.parent,
                tags=each.folders.__getitem__,
                deadline=deadline,
            )
            report = IngestReport(*map(sum, zip(report, done, strict=True)))
        except FoldersError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    said = (
        f"MLflow experiments '{plan.name}/...': {report.created} runs added, {report.updated} "
        f"replaced, {report.unchanged} unchanged"
    )
    complete = not (report.training or report.absent)
    if not complete:
        said += f"; {report.training} are training, {report.absent} not there yet"
    return handed if complete else None, said


def _own_store(path: Path) -> str:
    if "?" in str(path):
        raise DMPError(
            f"{path} cannot be written as an address of SQLite, in which a question mark ends the "
            f"path; choose a folder without one, or another store with --uri"
        )
    return f"sqlite:///{path}"


def experiments(plan: Plan, layout: Layout, target: str) -> Iterator[Experiment]:
    """Return the experiments of a target, with all runs that they will have."""
    rest = plan.runs(target)
    claims = _claims_by_variant(plan)

    def folders(runs: list[tuple[str, str, int]], study: str) -> dict[Path, dict[str, str]]:
        return {
            layout.run(*run): {
                **identity(*run),
                "scale": plan.name,
                "study": study,
                # An empty tag cannot be told from a missing one in MLflow's lists.
                **({"claims": " ".join(found)} if (found := claims.get(run[:2])) else {}),
            }
            for run in runs
        }

    for name in plan.targeted(target):
        study = {**plan.studies, **plan.parameter_studies}[name]
        runs = plan.runs(name) if name in plan.studies else []
        rest = [run for run in rest if run not in set(runs)]
        labels = {(c.task, c.variant): c.label for c in getattr(study, "cells", ()) if runs}
        told = differences(layout.tables / f"{name}-comparisons.csv")
        comparisons, came_to = [], {}
        # MLflow shows the first line alone: what the study asks first, of the first of its tasks.
        for c in sorted(getattr(study, "comparisons", ()), key=lambda c: c.task != "unconditional"):
            if c.task not in plan.scale.tasks:
                continue
            label = f"{labels[c.task, c.variant]} − {labels[c.task, c.against]}, {c.task}"
            both = (c.variant, c.against)
            comparisons.append((label, [run_name(c.task, v, s) for v in both for s in plan.seeds]))
            if (text := told.get((c.task, *both))) is not None:
                came_to[label] = text
        parent = Parent(
            name,
            study.title,
            _tables(layout, name),
            {"scale": plan.name, "study": name},
            comparisons,
            came_to,
            numbers(layout.tables, name),
        )
        yield Experiment(name, folders(runs, name), parent)
    if rest:
        name, title = {
            "tables": (CLAIMS, "The paper's claims"),
            "studies": (HYPOTHESES, "Hypotheses of our own"),
        }[target]
        page = layout.verdicts(name)
        artifacts = _existing({p.name: p for p in map(page.with_suffix, _SUFFIXES)})
        parent = Parent(name, title, artifacts, {"scale": plan.name, "study": name})
        yield Experiment(name, folders(rest, name), parent)
    yield Experiment(
        "baselines",
        {
            layout.pretrained(task, seed, recipe): {
                **identity(task, plan.pretraining(task, seed, recipe).variant, seed),
                **{"scale": plan.name, "study": "baselines"},
            }
            for recipe, of in ((PAPER, plan.baselines), (DECAYED, plan.decayed))
            for task, seed in of(target)
        },
    )


def _tables(layout: Layout, study: str) -> dict[str, Path]:
    """Return a study's tables and figures, as far as they have been rendered."""
    names = [f"{study}{suffix}" for suffix in _SUFFIXES] + [f"{study}-comparisons.csv"]
    found = {name: layout.tables / name for name in names}
    figures = layout.figures(study)
    if figures.is_dir():
        found |= {f"figures/{path.name}": path for path in sorted(figures.glob("*.png"))}
    return _existing(found)


def _existing(artifacts: dict[str, Path]) -> dict[str, Path]:
    return {name: path for name, path in artifacts.items() if path.is_file()}


def _claims_by_variant(plan: Plan) -> dict[tuple[str, str], list[str]]:
    """Return the ids of the claims and hypotheses that each (task, variant) is evidence for."""
    found: dict[tuple[str, str], list[str]] = {}
    for claims in plan.judged.values():
        for _, own, claim, _, evidence in claims.on_recipes():
            for task, variant in evidence.runs():
                ids = found.setdefault((task, on_recipe(variant, own)), [])
                if claim.id not in ids:
                    ids.append(claim.id)
    return found
