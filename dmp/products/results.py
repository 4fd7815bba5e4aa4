"""What is made from the numbers of runs, and beside them."""

import hashlib
from typing import Any

from dmp.layout import Layout
from dmp.products.product import Product, named
from dmp.studies import Plan
from dmp.studies.plan import CLAIMS

PAGE_SUFFIXES = (".html", ".csv", ".md", ".tex")


def numbers_product(plan: Plan, layout: Layout, scope: str) -> Product:
    """Return the two tables of numbers of a scope."""

    def depends() -> list[Any]:
        runs = [[*run, plan.fingerprint("metrics", *run)] for run in plan.runs(scope)]
        # Whoever reads the FIDs judges them by the tolerance.
        baselines = [
            [
                *(task, seed, plan.fingerprint("convergence", task, seed=seed)),
                plan.scale.tasks[task].pretraining.convergence_tolerance,
            ]
            for task, seed in plan.checked(scope)
        ]
        return [runs, baselines]

    files = (layout.results_table(scope), layout.baselines_table(scope))
    runs = (layout.record("metrics", layout.run(*run)) for run in plan.runs(scope))
    baselines = (
        layout.record("convergence", layout.pretrained(*each)) for each in plan.checked(scope)
    )
    return named(layout, "numbers", scope, depends, files, (*runs, *baselines))


def parameters_product(plan: Plan, layout: Layout) -> Product:
    """Return the parameter counts."""
    files = (layout.parameters_table,)
    return named(layout, "parameters", "", lambda: plan.parameter_studies, files)


def speed_product(plan: Plan, layout: Layout) -> Product:
    """Return the timings."""
    seed = plan.baseline_seed(plan.seeds[0])
    made_from = (layout.record("baseline", layout.pretrained(t, seed)) for t in plan.speed_arms())
    return named(layout, "speed", "", plan.speed_arms, (layout.speed_table,), tuple(made_from))


def page_product(plan: Plan, layout: Layout, study: str) -> Product:
    """Return a study's tables and figures."""

    def depends() -> list[Any]:
        descriptions = {
            name: [part for part in (task.stands_for, task.description, task.caution) if part]
            for name, task in plan.scale.tasks.items()
        }
        found = plan.parameter_studies.get(study) or plan.study(study)
        return [found, [plan.scale.title, plan.scale.conclusive, descriptions]]

    tables = (layout.tables / f"{study}{suffix}" for suffix in PAGE_SUFFIXES)
    numbers = "parameters" if study in plan.parameter_studies else f"numbers/{study}"
    files, made_from = (*tables, layout.figures(study)), (layout.record(numbers),)
    return named(layout, "page", study, depends, files, made_from)


def verdicts_product(plan: Plan, layout: Layout, scope: str) -> Product:
    """Return the verdicts on the paper's claims, or on hypotheses of our own."""

    def depends() -> list[Any]:
        found = [plan.judged.get(scope), plan.scale.conclusive, plan.scale.not_run]
        if plan.scale.affords is not None:
            found.append(plan.scale.affords)
        if layout.published_numbers.is_file():
            # Their spread is part of the verdicts.
            found.append(hashlib.sha256(layout.published_numbers.read_bytes()).hexdigest())
        return found

    pages = (layout.verdicts(scope).with_suffix(suffix) for suffix in PAGE_SUFFIXES)
    tables = ("parameters", "speed") if scope == CLAIMS else ()
    made_from = tuple(layout.record(name) for name in (f"numbers/{scope}", *tables))
    files = (*pages, layout.figures(scope))
    return named(layout, scope, "", depends, files, made_from)


def tracking_product(plan: Plan, layout: Layout, target: str) -> Product:
    """Return the summary of what MLflow was handed."""
    runs = [layout.record("metrics", layout.run(*run)) for run in plan.runs(target)]
    pages = [layout.record(f"page/{study}") for study in plan.targeted(target)]
    files, made_from = (layout.tracking_summary(target),), (*runs, *pages)
    return named(layout, "tracking", target, lambda: plan.runs(target), files, made_from)
