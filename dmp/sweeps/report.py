"""From the trials of a finished sweep, and their confirmation, to its files; no torch."""

import optuna

from dmp.files import write_text
from dmp.methods import Variant
from dmp.reporting.page import write_page
from dmp.studies import Plan
from dmp.sweeps.checking import make_space
from dmp.sweeps.confirmation import confirm, confirmed_table
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import fresh_seeds
from dmp.sweeps.page import best_cells, sweep_page
from dmp.sweeps.plots import write_interactive, write_plots
from dmp.sweeps.schema import Sweep
from dmp.sweeps.trials import best_variants, finished_trials, trials_table


def write_report(plan: Plan, sweep: Sweep, files: SweepFiles, study: optuna.Study) -> None:
    """Write the table of trials, the page, ``best.yaml`` and the plots of a sweep.

    Raises:
        DMPError: the search is not at its end, or its points are not confirmed.

    """
    trials = finished_trials(sweep, study)
    best = best_variants(sweep, trials)
    seeds = fresh_seeds(sweep, plan)
    base = Variant.parse(sweep.base).name
    sweep = sweep.model_copy(update={"base": base})
    variants = [base, *(str(point["variant"]) for point in best)]
    hashes = {(v, seed): plan.run(sweep.task, v, seed).hash for v in variants for seed in seeds}
    confirmed = confirm(sweep, files, best, hashes)
    table = trials_table(sweep, trials)
    write_text(files.trials, table.to_csv(index=False, lineterminator="\n"))
    text = confirmed_table(confirmed).to_csv(index=False, lineterminator="\n")
    write_text(files.confirmed, text)
    write_text(files.best, best_cells(sweep, plan.name, confirmed))
    left_out = make_space(sweep, plan, f"sweeps/{sweep.id}.yaml").left_out
    page = sweep_page(sweep, plan.scale, left_out, table, confirmed, seeds)
    write_page(page, files.root, sweep.id)
    write_plots(sweep, plan.scale, study, files.figures)
    write_interactive(sweep, study, files.interactive)
