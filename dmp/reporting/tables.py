"""The table of a study: what was measured, beside what the paper reports."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dmp.config import TaskConfig
from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.reporting.baselines import baseline_lines, baseline_table
from dmp.reporting.measured import UNCONVERGED, absent, cell_tables, footnotes
from dmp.reporting.notes import study_notes, unknown_code
from dmp.reporting.page import Page, Table, write_page
from dmp.statistics.formatting import (
    MISSING,
    format_interval,
    format_number,
    format_p,
    format_paper,
    format_range,
)
from dmp.statistics.labels import metric_label, metric_name
from dmp.statistics.results import records
from dmp.statistics.study import OK, paper_difference
from dmp.statistics.variance import RELATIVE_EFFECT
from dmp.studies.schema import Scale, Study


def study_page(
    study: Study,
    scale: Scale,
    cells: pd.DataFrame,
    comparisons: pd.DataFrame,
    baselines: pd.DataFrame,
    variances: pd.DataFrame | None = None,
    results: pd.DataFrame | None = None,
) -> Page:
    """Return the page of a study.

    Args:
        cells: from :func:`dmp.statistics.study.cells`.
        comparisons: from :func:`dmp.statistics.study.comparisons`.
        baselines: see :func:`dmp.statistics.results.read_baselines`.
        variances: from :func:`dmp.statistics.variance.variances`, if the study asks for it.
        results: of the runs, for what stands in the heading of the baselines.

    Raises:
        DMPError: a cell rests on a baseline that ``baselines`` does not list.
    """
    unconverged = _unconverged(cells, baselines, scale)
    marked, why = set(unconverged["task"]), footnotes(cells)
    tables = cell_tables(study.metrics, cells, comparisons, marked, why)
    if len(comparisons):
        lines = _comparison_lines(study.metrics, cells, comparisons, marked, why)
        caption = "Paired differences, 95 % intervals, tests and effect sizes"
        tables.append(Table(caption, pd.DataFrame(lines), text_columns=3))
    if variances is not None and study.variance is not None:
        caption = (
            f"Where the noise of {study.variance.variant} − {study.variance.against} comes from: "
            f"standard deviations between seeds, and the seeds that find a difference of "
            f"{RELATIVE_EFFECT:g} %"
        )
        tables.append(Table(caption, _variance_frame(variances), text_columns=1))
    run = {task: scale.tasks[task] for task in dict.fromkeys(cells["task"]) if task in scale.tasks}
    heading = [] if results is None else baseline_lines(results, run)
    each = baseline_table(results, run) if study.baselines and results is not None else None
    tables += [] if each is None else [each]
    warning = (
        f"Scale '{scale.name}' is too small for any conclusion: this table shows that every "
        f"cell is computed, and no conclusion may be drawn from its numbers."
    )
    return Page(
        title=study.title,
        warning="" if scale.conclusive else warning,
        introduction=[*_introduction(study, scale, run), *heading],
        tables=tables,
        notes=[
            *(f"{mark} {status}." for status, mark in why.items()),
            *study.notes,
            *(f"{name}: {task.caution}." for name, task in run.items() if task.caution),
            *study_notes(cells, comparisons, unconverged),
            *([] if results is None else unknown_code(results)),
        ],
    )


def write_table(
    page: Page, name: str, cells: pd.DataFrame, comparisons: pd.DataFrame, directory: str | Path
) -> None:
    """Write a study's page in every format, and ``<name>.csv`` and ``<name>-comparisons.csv``.

    These are the cells and the comparisons with all digits; equal input gives equal bytes.

    Raises:
        DMPError: a file cannot be written.
    """
    write_csv(Path(directory) / f"{name}.csv", cells)
    write_csv(Path(directory) / f"{name}-comparisons.csv", comparisons)
    write_page(page, directory, name)


def _introduction(study: Study, scale: Scale, run: Mapping[str, TaskConfig]) -> list[str]:
    tasks = "; ".join(
        f"{name} stands for {task.stands_for}, and is here {task.description}"
        for name, task in run.items()
    )
    here = f"Scale '{scale.name}' ({scale.title}). " + (f"Tasks: {tasks}." if tasks else "")
    if not study.source:
        return [f"{here} The paper has no such comparison."]
    return [
        here,
        f"The paper's numbers ({study.source}) come from the paper's own data, backbones, sample "
        f"counts and evaluation. {metric_name(study.metrics[0])} values are therefore not "
        f"comparable between the columns 'here' and 'paper'; what is compared is the direction and "
        f"the relative size of effects.",
    ]


def _unconverged(cells: pd.DataFrame, baselines: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Return the rows of ``baselines`` that the cells rest on and that a reader has to be told of.

    They have not converged, or were not trained here. Of tasks with decayed baselines the heading
    says it.
    """
    decayed = {name for name, task in scale.tasks.items() if task.pretraining.decay is not None}
    cells = cells[~cells["task"].isin(decayed)]
    used = {
        (row.task, int(seed))
        for row in records(cells[cells["status"] == OK])
        for seed in row.baseline_seeds.split(";")
    }
    pairs = list(zip(baselines["task"], baselines["baseline_seed"], strict=True))
    for task, seed in sorted(used - set(pairs)):
        raise DMPError(
            f"baseline {seed} of task '{task}' is not in the table of baselines, so whether it has "
            f"converged is unknown; run the stage that checks it"
        )
    # Of an empty table a plain list would choose no columns.
    rows = baselines[np.array([pair in used for pair in pairs], dtype=bool)]
    told = ~rows["converged"].astype(bool) | (rows["iterations"] == 0)
    return rows[told].sort_values(["task", "baseline_seed"])


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
    for label in ("unpaired", "paired"):
        frame[f"Seeds needed, {label}"] = [
            MISSING if pd.isna(seeds) else f"{seeds:,.0f}" for seeds in variances[f"seeds_{label}"]
        ]
    return frame


def _comparison_lines(
    metrics: list[str],
    cells: pd.DataFrame,
    comparisons: pd.DataFrame,
    marked: set[str],
    why: dict[str, str],
) -> list[dict[str, str]]:
    found = {(row.task, row.variant, row.metric): row for row in records(cells)}
    held_out = (m for m in metrics[1:] if m.removeprefix("resized_").startswith("denoising"))
    shown = [metrics[0], *held_out]
    lines = []
    for metric in shown:
        for row in records(comparisons[comparisons["metric"] == metric]):
            run = row.status == OK
            if not run and metric != metrics[0]:
                continue
            a, b = (found[row.task, variant, metric] for variant in (row.variant, row.against))
            mark = UNCONVERGED if run and row.task in marked else ""
            difference = format_interval(row.mean, row.t_low, row.t_high)
            lines.append(
                {
                    "Task": row.task,
                    "Comparison": f"{a.label} − {b.label}{mark}",
                    "Metric": metric_label(metric),
                    "Difference [t interval]": difference if run else absent(row.status, why),
                    "Bootstrap interval": format_range(row.boot_low, row.boot_high),
                    "p exact": format_p(row.p_exact),
                    "p exact, Holm": format_p(row.p_exact_holm),
                    "p t test": format_p(row.p_t),
                    "p t test, Holm": format_p(row.p_t_holm),
                    "Effect size g": format_number(row.effect_size),
                    "Smallest detectable": format_number(row.detectable),
                    "Paper": format_paper(paper_difference(a.paper, b.paper)),
                }
            )
    return lines
