"""From the numbers of runs to a study's page: its tables and its figures; no torch."""

from collections.abc import Sequence
from pathlib import Path

from dmp.layout import Layout
from dmp.products.results import page_product
from dmp.reporting.figures.data import FigureData
from dmp.reporting.figures.registry import without_files, write_figures
from dmp.reporting.parameters import write_parameters
from dmp.reporting.tables import study_page, write_table
from dmp.statistics.arms import Arms
from dmp.statistics.results import PARAMETER_COLUMNS, read_baselines, read_csv, read_results
from dmp.statistics.study import cells, comparisons
from dmp.statistics.variance import variances
from dmp.studies import Plan


def write_pages(
    plan: Plan, layout: Layout, names: Sequence[str] = (), from_numbers: bool = False
) -> None:
    """Write the tables of studies in every format, and their figures.

    Args:
        names: the studies; all of them if there are none.
        from_numbers: there are no runs: figures that draw more than numbers are left out.

    Raises:
        DMPError: unknown study, missing or inconsistent results.
    """
    for name in names or sorted({**plan.studies, **plan.parameter_studies}):
        if name in plan.parameter_studies:
            _parameters(plan, layout, name)
        else:
            _study(plan, layout, name, from_numbers)
        page_product(plan, layout, name).mark_finished()


def _parameters(plan: Plan, layout: Layout, name: str) -> None:
    parameters = read_csv(layout.parameters_table, PARAMETER_COLUMNS)
    rows = parameters[parameters["study"] == name]
    write_parameters(plan.parameter_studies[name], rows, layout.tables)
    _emptied(layout.figures(name))


def _study(plan: Plan, layout: Layout, name: str, from_numbers: bool) -> None:
    study = plan.study(name)
    results = read_results(layout.results_table(name))
    arms = Arms(results)
    measured, compared = cells(arms, study), comparisons(arms, study)
    baselines = read_baselines(layout.baselines_table(name))
    shares = None if study.variance is None else variances(arms, study)
    page = study_page(study, plan.scale, measured, compared, baselines, shares, results)
    write_table(page, name, measured, compared, layout.tables)
    directory = _emptied(layout.figures(name))
    if from_numbers:
        study = without_files(study)
    if study.figures:
        data = FigureData(results, plan.scale, plan.seeds, layout)
        write_figures(study, data, directory)


def _emptied(directory: Path) -> Path:
    """Return the folder, without the figures of an earlier version of the study."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        path.unlink()
    return directory
