"""From the results table to one study's tables; no torch."""

from dmp.layout import Layout
from dmp.reporting.parameters import read_parameters, write_parameters
from dmp.reporting.tables import write_table
from dmp.statistics.results import read_baselines, read_results
from dmp.statistics.study import cells, comparisons
from dmp.studies import Plan


def render(plan: Plan, layout: Layout, name: str) -> None:
    """Write one study's table, with all estimates and comparisons, in every format.

    Raises:
        DMPError: unknown study, missing or inconsistent results.

    """
    if name in plan.parameter_studies:
        parameters = read_parameters(layout.parameters_table)
        rows = parameters[parameters["study"] == name]
        write_parameters(plan.parameter_studies[name], rows, layout.tables)
        return
    study = plan.study(name)
    results = read_results(layout.results_table(name))
    write_table(
        study,
        plan.scale,
        cells(results, study),
        comparisons(results, study),
        read_baselines(layout.baselines_table(name)),
        layout.tables,
    )
