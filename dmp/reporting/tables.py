"""The table of a study: what was measured, beside what the paper reports."""

from pathlib import Path
from typing import Any

import pandas as pd

from dmp.errors import DMPError
from dmp.files import write_text
from dmp.reporting.labels import metric_label, metric_name
from dmp.reporting.notes import study_notes
from dmp.reporting.numbers import (
    MISSING,
    format_interval,
    format_number,
    format_p,
    format_paper,
    format_range,
)
from dmp.reporting.page import Page, Table, write_page
from dmp.statistics.paper import paper_difference
from dmp.statistics.study import OK
from dmp.statistics.variance import RELATIVE_EFFECT

_BASELINE = "baseline"
_MARK = " †"


def write_table(
    study: Any,
    scale: Any,
    cells: pd.DataFrame,
    comparisons: pd.DataFrame,
    baselines: pd.DataFrame,
    directory: str | Path,
    variances: pd.DataFrame | None = None,
) -> None:
    """Write a study's table in every format.

    The files are ``<study.id>.csv`` (the cells) and ``<study.id>-comparisons.csv``, with all
    digits, and ``<study.id>.md``, ``.tex`` and ``.html`` for readers. Equal input gives equal
    bytes.

    Args:
        study: has ``id``, ``title``, ``source``, ``metrics`` (the first is primary) and ``notes``.
        scale: has ``name``, ``title``, ``conclusive`` and ``tasks``, whose values have
            ``stands_for``, ``description`` and ``caution``.
        cells: from :func:`dmp.statistics.study.cells`.
        comparisons: from :func:`dmp.statistics.study.comparisons`.
        baselines: see :func:`dmp.statistics.results.read_baselines`.
        directory: where to; made if it does not exist.
        variances: from :func:`dmp.statistics.variance.variances`, if the study asks for it.

    Raises:
        DMPError: a cell rests on a baseline that ``baselines`` does not list, or a file cannot be
            written.

    """
    page = study_page(study, scale, cells, comparisons, baselines, variances)
    directory = Path(directory)
    write_text(directory / f"{study.id}.csv", cells.to_csv(index=False, lineterminator="\n"))
    text = comparisons.to_csv(index=False, lineterminator="\n")
    write_text(directory / f"{study.id}-comparisons.csv", text)
    write_page(page, directory, study.id)


def study_page(
    study: Any,
    scale: Any,
    cells: pd.DataFrame,
    comparisons: pd.DataFrame,
    baselines: pd.DataFrame,
    variances: pd.DataFrame | None = None,
) -> Page:
    """Return the page of a study; arguments and errors as for :func:`write_table`."""
    unconverged = _unconverged(cells, baselines)
    marked = set(unconverged["task"])
    tables = [
        Table(
            "Measured here: mean [95 % t interval]; the paper's numbers as printed",
            _cell_frame(study.metrics, cells, comparisons, marked),
            text_columns=2,
        )
    ]
    if len(comparisons):
        tables.append(
            Table(
                "Paired differences, 95 % intervals, tests and effect sizes",
                _comparison_frame(study.metrics, cells, comparisons, marked),
                text_columns=3,
            )
        )
    if variances is not None:
        pair = f"{study.variance.variant} − {study.variance.against}"
        tables.append(
            Table(
                f"Where the noise of {pair} comes from: standard deviations between seeds, and the "
                f"seeds that find a difference of {RELATIVE_EFFECT:g} %",
                _variance_frame(variances),
                text_columns=1,
            )
        )
    return Page(
        title=study.title,
        warning=_warning(scale),
        introduction=_introduction(study, scale, cells),
        tables=tables,
        notes=[
            *study.notes,
            *_cautions(scale, cells),
            *study_notes(cells, comparisons, unconverged),
        ],
    )


def _warning(scale: Any) -> str:
    if scale.conclusive:
        return ""
    return (
        f"Scale '{scale.name}' is too small for any conclusion: this table shows that every "
        f"cell is computed, and no conclusion may be drawn from its numbers."
    )


def _cautions(scale: Any, cells: pd.DataFrame) -> list[str]:
    run = [task for task in dict.fromkeys(cells["task"]) if task in scale.tasks]
    return [f"{task}: {scale.tasks[task].caution}." for task in run if scale.tasks[task].caution]


def _introduction(study: Any, scale: Any, cells: pd.DataFrame) -> list[str]:
    run = [task for task in dict.fromkeys(cells["task"]) if task in scale.tasks]
    tasks = "; ".join(
        f"{task} stands for {scale.tasks[task].stands_for}, and is here "
        f"{scale.tasks[task].description}"
        for task in run
    )
    here = f"Scale '{scale.name}' ({scale.title}). " + (f"Tasks: {tasks}." if tasks else "")
    primary = metric_name(study.metrics[0])
    if not study.source:
        return [f"{here} The paper has no such comparison."]
    return [
        here,
        f"The paper's numbers ({study.source}) come from the paper's own data, backbones, sample "
        f"counts and evaluation. {primary} values are therefore not comparable between the "
        f"columns 'here' and 'paper'; what is compared is the direction and the relative size of "
        f"effects.",
    ]


def _unconverged(cells: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``baselines`` that the cells rest on and that a reader has to be told of.

    They have not converged, or were not trained here.
    """
    listed = set(zip(baselines["task"], baselines["baseline_seed"], strict=True))
    measured = cells[cells["status"] == OK]
    used = {
        (task, int(seed))
        for task, seeds in zip(measured["task"], measured["baseline_seeds"], strict=True)
        for seed in seeds.split(";")
    }
    for task, seed in sorted(used - listed):
        raise DMPError(
            f"baseline {seed} of task '{task}' is not in the table of baselines, so that nobody "
            f"knows whether it has converged; run the stage that checks it"
        )
    pairs = zip(baselines["task"], baselines["baseline_seed"], strict=True)
    rows = baselines[[pair in used for pair in pairs]]
    told = ~rows["converged"].astype(bool) | (rows["iterations"] == 0)
    return rows[told].sort_values(["task", "baseline_seed"])


def _cell_frame(
    metrics: list[str], cells: pd.DataFrame, comparisons: pd.DataFrame, marked: set[str]
) -> pd.DataFrame:
    primary, *further = metrics
    found = {(row.task, row.variant, row.metric): row for row in cells.itertuples()}
    against_baseline = {
        (row.task, row.variant): row
        for row in comparisons.itertuples()
        if row.metric == primary and row.against == _BASELINE
    }
    lines = []
    for task, variant in dict.fromkeys(zip(cells["task"], cells["variant"], strict=True)):
        cell = found[task, variant, primary]
        run = cell.status == OK
        difference = against_baseline.get((task, variant))
        baseline = found.get((task, _BASELINE, primary))
        effect = (
            paper_difference(cell.paper, baseline.paper)
            if baseline is not None and variant != _BASELINE
            else None
        )
        name = metric_name(primary)
        line = {
            "Task": task,
            "Method": cell.label + (_MARK if run and task in marked else ""),
            f"{metric_label(primary)}, here": format_interval(cell.mean, cell.low, cell.high)
            if run
            else cell.status,
        }
        for metric in further:
            row = found[task, variant, metric]
            line[metric_label(metric)] = format_interval(row.mean, row.low, row.high)
        line |= {
            f"Δ {name} to baseline, here": MISSING
            if difference is None
            else format_interval(difference.mean, difference.t_low, difference.t_high),
            "Seeds": str(cell.seeds) if run else MISSING,
            f"{name}, paper": format_paper(cell.paper),
            f"Δ {name} to baseline, paper": format_paper(effect),
        }
        lines.append(line)
    return pd.DataFrame(lines)


def _variance_frame(variances: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "mean": "Mean",
        "sd_sampling": "Sampling alone",
        "sd_training": "Training alone",
        "sd_both": "Training and sampling",
        "sd_unpaired": "Difference, unpaired",
        "sd_paired": "Difference, paired",
    }
    frame = pd.DataFrame({"Metric": variances["metric"].map(metric_label)})
    for name, label in columns.items():
        frame[label] = variances[name].map(format_number)
    frame["Variance removed by pairing, %"] = variances["removed_percent"].map("{:.1f}".format)
    for name, label in (("seeds_unpaired", "unpaired"), ("seeds_paired", "paired")):
        frame[f"Seeds needed, {label}"] = [
            MISSING if pd.isna(seeds) else f"{seeds:,.0f}" for seeds in variances[name]
        ]
    return frame


def _comparison_frame(
    metrics: list[str], cells: pd.DataFrame, comparisons: pd.DataFrame, marked: set[str]
) -> pd.DataFrame:
    labels = {(row.task, row.variant): row.label for row in cells.itertuples()}
    paper = {(row.task, row.variant, row.metric): row.paper for row in cells.itertuples()}
    shown = [metrics[0], *(metric for metric in metrics[1:] if metric.startswith("denoising"))]
    lines = []
    for metric in shown:
        for row in comparisons[comparisons["metric"] == metric].itertuples():
            run = row.status == OK
            if not run and metric != metrics[0]:
                continue
            effect = paper_difference(
                paper[row.task, row.variant, metric], paper[row.task, row.against, metric]
            )
            pair = f"{labels[row.task, row.variant]} − {labels[row.task, row.against]}"
            lines.append(
                {
                    "Task": row.task,
                    "Comparison": pair + (_MARK if run and row.task in marked else ""),
                    "Metric": metric_label(metric),
                    "Difference [t interval]": format_interval(row.mean, row.t_low, row.t_high)
                    if run
                    else row.status,
                    "Bootstrap interval": format_range(row.boot_low, row.boot_high),
                    "p exact": format_p(row.p_exact),
                    "p exact, Holm": format_p(row.p_exact_holm),
                    "p t test": format_p(row.p_t),
                    "p t test, Holm": format_p(row.p_t_holm),
                    "Effect size g": format_number(row.effect_size),
                    "Smallest detectable": format_number(row.detectable),
                    "Paper": format_paper(effect),
                }
            )
    return pd.DataFrame(lines)
