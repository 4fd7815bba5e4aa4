"""From the numbers of runs to a verdict on every claim and hypothesis; no torch."""

from collections.abc import Callable, Collection, Mapping

import pandas as pd

from dmp.claims.evaluate import evaluate
from dmp.claims.rates import points
from dmp.claims.summary import summarise
from dmp.config import BackboneConfig
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.files import write_csv, write_text
from dmp.layout import Layout
from dmp.products.results import verdicts_product
from dmp.reporting.claims import claims_page, evidence_page
from dmp.reporting.compared import in_words
from dmp.reporting.figures.claims import all_evidence, forest, paper_against_ours
from dmp.reporting.figures.rates import effective_rates
from dmp.reporting.figures.style import write_figure
from dmp.reporting.page import html, markdown, write_page
from dmp.stages.reference import Reference
from dmp.statistics.arms import Arms
from dmp.statistics.results import PARAMETER_COLUMNS, SPEED_COLUMNS, read_csv, read_results
from dmp.studies import Plan
from dmp.studies.judged import left_out, undecayed
from dmp.studies.plan import CLAIMS


def judge(
    plan: Plan,
    layout: Layout,
    scope: str,
    published: Mapping[str, Collection[int]] | None = None,
) -> None:
    """Write the table of all evidence, the pages of verdicts, and their figures.

    Of baselines that are not run here, but stand in the scale's committed reference, the spread is
    taken into account, and not the mean.

    Args:
        scope: ``claims`` for those of the paper, ``hypotheses`` for our own.
        published: of a reference, the seeds of single claims that have more than the others; its
            level is shared among the looks at it. None for the results of a run.

    Raises:
        DMPError: there is nothing to judge, or numbers are missing or inconsistent.
    """
    if scope not in plan.judged:
        raise DMPError(f"there are no {scope} to judge: ablations/{scope}.yaml does not exist")
    claims, scale, path = plan.judged[scope], plan.scale, layout.verdicts(scope)
    claims = claims if published is None else claims.at(plan.name)
    whole = read_results(layout.results_table(scope))
    results = whole[whole["seed"].isin(plan.seeds)]
    own = {name: whole[whole["seed"].isin(seeds)] for name, seeds in (published or {}).items()}
    tables = {}
    if scope == CLAIMS:
        tables["parameters"] = read_csv(layout.parameters_table, PARAMETER_COLUMNS)
        tables["speed"] = read_csv(layout.speed_table, SPEED_COLUMNS)
    known, lacking = {*scale.tasks, *scale.not_run}, undecayed(scale)
    absent = {task: "this scale has no such task" for task, _ in claims.runs()}
    not_run = {task: reason for task, reason in absent.items() if task not in known} | scale.not_run
    evaluated = evaluate(
        claims,
        results,
        not_run=not_run,
        no_recipe=lacking,
        left_out=left_out(claims, scale),
        spread=_known_spread(plan, layout, scope),
        own=own,
        **tables,
    )
    summary = summarise(evaluated, claims)
    write_csv(path.with_suffix(".csv"), evaluated)
    # What stands behind a name is in the table; pages and figures are for reading.
    evaluated = in_words(evaluated, plan.studies.values())
    write_page(claims_page(claims, evaluated, scale, lacking, scope), path.parent, scope)
    evidence = evidence_page(claims, evaluated, scale)
    for suffix, render in ((".md", markdown), (".html", html)):
        write_text(path.with_name(f"{scope}-evidence{suffix}"), render(evidence))
    # What `snakemake --report` begins with.
    verdicts = summary[["claim", "statement", "verdict", "why"]]
    write_csv(path.with_name(f"{scope}-verdicts.csv"), verdicts)
    what = "the paper's claims" if scope == CLAIMS else "hypotheses of our own"
    figures = {
        "forest": forest(evaluated, summary, scale, claims.primary, what),
        "evidence": all_evidence(evaluated, scale, claims.primary, what),
    }
    if scope == CLAIMS:
        figures["paper"] = paper_against_ours(evaluated, scale)
    else:
        found, left = points(claims.curves, Arms(results), _tokens(plan), _factor(plan))
        figures["rates"] = effective_rates(found, left, scale)
    for name, figure in figures.items():
        write_figure(figure, layout.figures(scope) / f"{scope}-{name}")
    verdicts_product(plan, layout, scope).mark_finished()


def _known_spread(plan: Plan, layout: Layout, scope: str) -> pd.DataFrame | None:
    """Return the reference's results of a scope's variants, of seeds that the plan does not have.

    Only runs of the configuration that they would have here are among them, and of those only
    seeds that all of the scope has there.

    Returns:
        ``RESULT_COLUMNS``, or None where the reference has no such runs, or does not exist.

    Raises:
        DMPError: the reference is damaged.
    """
    if not layout.published_numbers.is_file():
        return None
    reference = Reference(layout.published)
    wanted, seeds = set(plan.variants(scope)), set(plan.seeds)
    whole = reference.seeds.get(scope)
    runs = [
        (task, variant, seed)
        for (task, variant, seed), config in reference.numbers.configurations().items()
        if (task, variant) in wanted
        and seed not in seeds
        and (whole is None or whole.first <= seed <= whole.last)
        and plan.run(task, variant, seed).hash == config
    ]
    if not runs:
        return None
    with reference.damaged():
        return reference.numbers.part(runs, []).table()


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
