"""From the numbers of runs to a verdict on every claim; no torch."""

from dmp.claims.evaluate import evaluate
from dmp.errors import DMPError
from dmp.files import write_csv
from dmp.layout import Layout
from dmp.products.results import claims_product
from dmp.reporting.claims import claims_page
from dmp.reporting.figures.claims import forest, paper_against_ours
from dmp.reporting.figures.style import write_figure
from dmp.reporting.page import write_page
from dmp.statistics.results import read_parameters, read_results, read_speed
from dmp.studies import Plan


def judge_claims(plan: Plan, layout: Layout) -> None:
    """Write ``claims.csv`` with all evidence, the page of verdicts, and its figures.

    Raises:
        DMPError: there are no claims, or numbers are missing or inconsistent.

    """
    if plan.claims is None:
        raise DMPError("there are no claims to judge: ablations/claims.yaml does not exist")
    scale = plan.scale
    known = {*scale.tasks, *scale.not_run}
    absent = {task: "this scale has no such task" for task, _ in plan.claims.runs()}
    evaluated = evaluate(
        plan.claims,
        read_results(layout.results_table("claims")),
        read_parameters(layout.parameters_table),
        read_speed(layout.speed_table),
        {task: reason for task, reason in absent.items() if task not in known} | scale.not_run,
    )
    path = layout.claims
    write_csv(path.with_suffix(".csv"), evaluated)
    write_page(claims_page(plan.claims, evaluated, scale), path.parent, path.stem)
    directory = layout.figures("claims")
    write_figure(forest(evaluated, scale), directory / "claims-forest")
    write_figure(paper_against_ours(evaluated, scale), directory / "claims-paper")
    claims_product(plan, layout).mark_finished()
