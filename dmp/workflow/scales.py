"""The plans and files of all scales that one call of snakemake touches."""

import functools
import shlex

from dmp.layout import Layout
from dmp.reporting.figures import check_figures
from dmp.studies import Plan, load_plan
from dmp.studies.loading import load_scale, scale_names
from dmp.workflow.bundles import Bundle, Run, bundle_of_each_run
from dmp.workflow.settings import Settings


class Scales:
    """Plans, layouts and bundles by the name of a scale, each worked out once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.plan = functools.cache(self._plan)
        self.bundles = functools.cache(lambda scale: bundle_of_each_run(self.plan(scale)))

    def _plan(self, scale: str) -> Plan:
        plan = load_plan(scale, self.settings.ablations, self.settings.seeds)
        for study in plan.studies.values():
            check_figures(study, options=False)
        return plan

    def check_figures(self, scale: str) -> None:
        """Check the options of all figures: what draws them is imported, which takes a while."""
        for study in self.plan(scale).studies.values():
            check_figures(study)

    def layout(self, scale: str) -> Layout:
        """Return where the files of a scale are."""
        return Layout(self.settings.results, scale)

    def bundle(self, scale: str, run: Run) -> Bundle:
        """Return what the job does that ends with a run: its bundle, if it is the last there.

        Any other run was asked for by itself.
        """
        found = self.bundles(scale).get(run)
        task, variant, seed = run
        return found if found and found.runs[-1] == run else Bundle(task, (variant,), (seed,))

    def arguments(self, scale: str, task: str, variant: str, seed: int) -> str:
        """Return the variants and seeds of the bundle that ends with a run, for a shell."""
        bundle = self.bundle(scale, (task, variant, seed))
        seeds = (f"--seed {each}" for each in bundle.seeds)
        return " ".join([*map(shlex.quote, bundle.variants), *seeds])

    def options(self, scale: str) -> str:
        """Return the options that every call of the command line gets, quoted for a shell."""
        folders = (self.settings.results, self.settings.ablations)
        results, ablations = (shlex.quote(str(folder)) for folder in folders)
        # With equals signs, since a path may begin with a dash.
        return f"--scale={scale} --results={results} --ablations={ablations}"

    def pattern(self, job: str, sharded: bool | None = None) -> str:
        """Return the names of scales as a regular expression: those whose runs are done this way.

        Args:
            job: see :class:`dmp.studies.schema.Execution`.
            sharded: whether several jobs sample a run; None for either.
        """
        wanted = {self.settings.scale, "smoke"} & set(scale_names(self.settings.ablations))
        names = []
        for name in sorted(wanted):
            execution = load_scale(self.settings.ablations, name).execution
            if execution.job == job and sharded in (None, execution.sampling_shards > 1):
                names.append(name)
        return "|".join(names) or "none"
