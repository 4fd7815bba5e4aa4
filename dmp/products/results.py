"""What is made from the numbers of runs, and beside them."""

from dmp.layout import Layout
from dmp.products.product import Product, named
from dmp.studies import Plan

PAGE_SUFFIXES = (".html", ".csv", ".md", ".tex")


def numbers_product(plan: Plan, layout: Layout, scope: str) -> Product:
    """Return the two tables of numbers of a scope."""
    files = (layout.results_table(scope), layout.baselines_table(scope))
    runs = [layout.record("metrics", layout.run(*run)) for run in plan.runs(scope)]
    baselines = [
        layout.record("convergence", layout.pretrained(*each)) for each in plan.checked(scope)
    ]
    made_from = (*runs, *baselines)
    return named(layout, "numbers", scope, plan.results_fingerprint, files, made_from)


def parameters_product(plan: Plan, layout: Layout) -> Product:
    """Return the parameter counts."""
    record, files = layout.record("parameters"), (layout.parameters_table,)
    return Product("parameters", (), plan.parameters_fingerprint, record, files)


def speed_product(plan: Plan, layout: Layout) -> Product:
    """Return the timings."""
    seed = plan.baseline_seed(plan.seeds[0])
    made_from = (layout.record("baseline", layout.pretrained(t, seed)) for t in plan.speed_arms())
    record, files = layout.record("speed"), (layout.speed_table,)
    return Product("speed", (), plan.speed_fingerprint, record, files, tuple(made_from))


def page_product(plan: Plan, layout: Layout, study: str) -> Product:
    """Return a study's tables and figures."""
    tables = (layout.tables / f"{study}{suffix}" for suffix in PAGE_SUFFIXES)
    numbers = "parameters" if study in plan.parameter_studies else f"numbers/{study}"
    files, made_from = (*tables, layout.figures(study)), (layout.record(numbers),)
    return named(layout, "page", study, plan.study_fingerprint, files, made_from)


def claims_product(plan: Plan, layout: Layout) -> Product:
    """Return the verdicts on the paper's claims."""
    files = (*(layout.claims.with_suffix(s) for s in PAGE_SUFFIXES), layout.figures("claims"))
    made_from = (layout.record(name) for name in ("numbers/claims", "parameters", "speed"))
    record = layout.record("claims")
    return Product("claims", (), plan.claims_fingerprint, record, files, tuple(made_from))


def hypotheses_product(plan: Plan, layout: Layout) -> Product:
    """Return the verdicts on hypotheses of our own."""
    files = (
        *(layout.hypotheses.with_suffix(s) for s in PAGE_SUFFIXES),
        layout.figures("hypotheses"),
    )
    record, made_from = layout.record("hypotheses"), (layout.record("numbers/hypotheses"),)
    return Product("hypotheses", (), plan.hypotheses_fingerprint, record, files, made_from)


def tracking_product(plan: Plan, layout: Layout, target: str) -> Product:
    """Return the summary of what MLflow was handed."""
    runs = [layout.record("metrics", layout.run(*run)) for run in plan.runs(target)]
    pages = [layout.record(f"page/{study}") for study in plan.targeted(target)]
    files, made_from = (layout.tracking_summary(target),), (*runs, *pages)
    return named(layout, "tracking", target, plan.tracking_fingerprint, files, made_from)
