"""From the numbers of runs to a verdict on every claim and hypothesis; no torch."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dmp.claims.evaluate import evaluate
from dmp.claims.rates import points
from dmp.claims.schema import Claims
from dmp.claims.summary import summarise
from dmp.config import BackboneConfig
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.files import write_csv, write_text
from dmp.layout import Layout
from dmp.products.results import claims_product, hypotheses_product
from dmp.reporting.claims import claims_page, evidence_page
from dmp.reporting.figures.claims import all_evidence, forest, paper_against_ours
from dmp.reporting.figures.rates import effective_rates
from dmp.reporting.figures.style import write_figure
from dmp.reporting.page import html, markdown, write_page
from dmp.statistics.arms import Arms
from dmp.statistics.results import read_parameters, read_results, read_speed
from dmp.studies import Plan
from dmp.studies.judged import undecayed


def judge_claims(plan: Plan, layout: Layout) -> None:
    """Write ``claims.csv`` with all evidence, the page of verdicts, and its figures.

    Raises:
        DMPError: there are no claims, or numbers are missing or inconsistent.

    """
    if plan.claims is None:
        raise DMPError("there are no claims to judge: ablations/claims.yaml does not exist")
    evaluated = _judged(
        plan,
        plan.claims,
        layout.claims,
        read_results(layout.results_table("claims")),
        read_parameters(layout.parameters_table),
        read_speed(layout.speed_table),
    )
    directory = layout.figures("claims")
    summary = summarise(evaluated, plan.claims)
    write_figure(forest(evaluated, summary, plan.scale), directory / "claims-forest")
    write_figure(all_evidence(evaluated, plan.scale), directory / "claims-evidence")
    write_figure(paper_against_ours(evaluated, plan.scale), directory / "claims-paper")
    claims_product(plan, layout).mark_finished()


def judge_hypotheses(plan: Plan, layout: Layout) -> None:
    """Write ``hypotheses.csv``, the page of verdicts on them, and its figures.

    Raises:
        DMPError: there are no hypotheses, or numbers are missing or inconsistent.

    """
    if plan.hypotheses is None:
        raise DMPError("there are no hypotheses to judge: ablations/hypotheses.yaml does not exist")
    results = read_results(layout.results_table("hypotheses"))
    evaluated = _judged(plan, plan.hypotheses, layout.hypotheses, results)
    directory = layout.figures("hypotheses")
    ours = "hypotheses of our own"
    primary, summary = plan.hypotheses.primary, summarise(evaluated, plan.hypotheses)
    drawn = forest(evaluated, summary, plan.scale, primary, ours)
    write_figure(drawn, directory / "hypotheses-forest")
    drawn = all_evidence(evaluated, plan.scale, primary, ours)
    write_figure(drawn, directory / "hypotheses-evidence")
    found, left = points(plan.hypotheses.curves, Arms(results), _tokens(plan), _factor(plan))
    write_figure(effective_rates(found, left, plan.scale), directory / "hypotheses-rates")
    hypotheses_product(plan, layout).mark_finished()


def _judged(
    plan: Plan,
    claims: Claims,
    path: Path,
    results: pd.DataFrame,
    parameters: pd.DataFrame | None = None,
    speed: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Write the table and the page of some claims, and return the table."""
    scale = plan.scale
    known, lacking = {*scale.tasks, *scale.not_run}, undecayed(scale)
    absent = {task: "this scale has no such task" for task, _ in claims.runs()}
    not_run = {task: reason for task, reason in absent.items() if task not in known} | scale.not_run
    evaluated = evaluate(claims, results, parameters, speed, not_run, lacking)
    write_csv(path.with_suffix(".csv"), evaluated)
    name = path.stem
    write_page(claims_page(claims, evaluated, scale, lacking, name), path.parent, name)
    evidence = evidence_page(claims, evaluated, scale)
    for suffix, render in ((".md", markdown), (".html", html)):
        write_text(path.with_name(f"{name}-evidence{suffix}"), render(evidence))
    # What `snakemake --report` begins with.
    verdicts = summarise(evaluated, claims)[["claim", "statement", "verdict", "why"]]
    write_csv(path.with_name(f"{name}-verdicts.csv"), verdicts)
    return evaluated


def _tokens(plan: Plan) -> dict[str, int]:
    return {
        name: (input_shape(task.data).size // task.backbone.patch_size) ** 2
        for name, task in plan.scale.tasks.items()
        if isinstance(task.backbone, BackboneConfig)
    }


def _factor(plan: Plan) -> Callable[[str, str], float]:
    def factor(task: str, variant: str) -> float:
        own = plan.run(task, variant, plan.seeds[0]).config.training.learning_rate
        return own / plan.scale.tasks[task].training.learning_rate

    return factor
