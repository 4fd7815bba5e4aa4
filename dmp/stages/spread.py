"""How much baselines differ, as a scale's committed reference knows it; no torch."""

import pandas as pd

from dmp.layout import Layout
from dmp.stages.reference import Reference
from dmp.studies import Plan


def known_spread(plan: Plan, layout: Layout, scope: str) -> pd.DataFrame | None:
    """Return the reference's results of a scope's variants, of seeds that the plan does not have.

    Only runs of the configuration that they would have here are among them, and of those only
    seeds that all of the scope has there.

    Returns:
        ``RESULT_COLUMNS``, or None where the reference has no such runs, or does not exist.

    Raises:
        DMPError: the reference is damaged.
    """
    reference = Reference(layout.published)
    if not layout.published_numbers.is_file():
        return None
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
