"""From the trials of a finished sweep, and their confirmation, to its files; no torch."""

import optuna

from dmp.files import write_csv, write_text
from dmp.methods import Variant
from dmp.reporting.page import markdown, write_page
from dmp.studies import Plan
from dmp.sweeps.checking import make_space
from dmp.sweeps.confirmation import confirm
from dmp.sweeps.files import SweepFiles
from dmp.sweeps.loading import fresh_seeds
from dmp.sweeps.page import best_cells, sweep_page
from dmp.sweeps.plots import write_interactive, write_plots
from dmp.sweeps.schema import Sweep
from dmp.sweeps.storage import keep_note
from dmp.sweeps.trials import best_variants, check_finished, trials_table


def write_report(plan: Plan, sweep: Sweep, files: SweepFiles, study: optuna.Study) -> None:
    """Write the table of trials, the page, ``best.yaml`` and the plots of a sweep.

    The page is also the study's note in Optuna's dashboard.

    Raises:
        DMPError: the search is not at its end, or its points are not confirmed.
    """
    check_finished(sweep, study)
    best = best_variants(sweep, study)
    seeds = fresh_seeds(sweep, plan)
    sweep = sweep.model_copy(update={"base": Variant.parse(sweep.base).name})
    hashes = {
        (variant, seed): plan.run(sweep.task, variant, seed).hash
        for variant in (sweep.base, *(variant for variant, _ in best))
        for seed in seeds
    }
    confirmed, trials = confirm(sweep, files, best, hashes), trials_table(sweep, study)
    for path, table in ((files.trials, trials), (files.confirmed, confirmed)):
        write_csv(path, table)
    write_text(files.best, best_cells(sweep, plan.name, confirmed))
    left_out = make_space(sweep, plan, f"sweeps/{sweep.id}.yaml").left_out
    page = sweep_page(sweep, plan.scale, left_out, trials, confirmed, seeds)
    write_page(page, files.root, sweep.id)
    keep_note(study, markdown(page))
    write_plots(sweep, plan.scale, study, files.figures)
    write_interactive(sweep, study, files.interactive)
