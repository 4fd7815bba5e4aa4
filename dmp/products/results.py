"""What is made from the numbers of runs, and beside them."""

from dmp.layout import Layout
from dmp.products.product import Product
from dmp.studies import Plan


def numbers_product(plan: Plan, layout: Layout, scope: str) -> Product:
    """Return the two tables of numbers of a scope."""
    runs = [layout.record("metrics", layout.run(*run)) for run in plan.runs(scope)]
    baselines = [
        layout.record("convergence", layout.pretrained(*each)) for each in plan.baselines(scope)
    ]
    return Product(
        "numbers",
        (scope,),
        lambda: plan.results_fingerprint(scope),
        layout.record(f"numbers/{scope}"),
        (layout.results_table(scope), layout.baselines_table(scope)),
        (*runs, *baselines),
    )


def parameters_product(plan: Plan, layout: Layout) -> Product:
    """Return the parameter counts."""
    return Product(
        "parameters",
        (),
        plan.parameters_fingerprint,
        layout.record("parameters"),
        (layout.parameters_table,),
    )


def speed_product(plan: Plan, layout: Layout) -> Product:
    """Return the timings."""
    seed = plan.baseline_seed(plan.seeds[0])
    return Product(
        "speed",
        (),
        plan.speed_fingerprint,
        layout.record("speed"),
        (layout.speed_table,),
        tuple(layout.record("baseline", layout.pretrained(t, seed)) for t in plan.speed_arms()),
    )


def page_product(plan: Plan, layout: Layout, study: str) -> Product:
    """Return a study's tables and figures."""
    suffixes = (".html", ".csv", ".md", ".tex")
    counted = study in plan.parameter_studies
    return Product(
        "page",
        (study,),
        lambda: plan.study_fingerprint(study),
        layout.record(f"page/{study}"),
        (*(layout.tables / f"{study}{suffix}" for suffix in suffixes), layout.figures(study)),
        (layout.record("parameters" if counted else f"numbers/{study}"),),
    )


def claims_product(plan: Plan, layout: Layout) -> Product:
    """Return the verdicts on the paper's claims."""
    suffixes = (".html", ".md", ".csv", ".tex")
    return Product(
        "claims",
        (),
        plan.claims_fingerprint,
        layout.record("claims"),
        (*(layout.claims.with_suffix(s) for s in suffixes), layout.figures("claims")),
        tuple(layout.record(name) for name in ("numbers/claims", "parameters", "speed")),
    )


def tracking_product(plan: Plan, layout: Layout, target: str) -> Product:
    """Return the summary of what MLflow was handed."""
    runs = [layout.record("metrics", layout.run(*run)) for run in plan.runs(target)]
    return Product(
        "tracking",
        (target,),
        lambda: plan.tracking_fingerprint(target),
        layout.record(f"tracking/{target}"),
        (layout.tracking_summary(target),),
        (*runs, *(layout.record(f"page/{study}") for study in plan.targeted(target))),
    )
