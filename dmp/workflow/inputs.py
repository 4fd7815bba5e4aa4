"""Which files a job is made from."""

from collections.abc import Iterable
from pathlib import Path

from dmp.config import TaskConfig
from dmp.layout import Layout
from dmp.methods import Variant
from dmp.recipes import PAPER
from dmp.studies import Plan
from dmp.workflow.scales import Scales

FORMATS = ("html", "csv", "md", "tex")


class Inputs:
    """Files by scale, task, study and so on: the names of a rule's wildcards.

    :func:`dmp.workflow.wildcards.by_wildcards` makes input functions of these methods.
    """

    def __init__(self, scales: Scales) -> None:
        self.scales = scales

    def _of(self, scale: str) -> tuple[Plan, Layout]:
        return self.scales.plan(scale), self.scales.layout(scale)

    def _task(self, scale: str, task: str) -> TaskConfig:
        return self.scales.plan(scale).scale.tasks[task]

    def extractor(self, scale: str, task: str) -> list[Path]:
        """Weights of the classifier whose features a task's metrics compare, if we train it."""
        config = self._task(scale, task)
        own = config.evaluation.extractor.trained_here
        return [self.scales.layout(scale).extractor(config.data.name)] if own else []

    def data(self, scale: str, task: str) -> list[Path]:
        """What of a task's data is prepared: captions and latents, if it has any."""
        config, files = self._task(scale, task), self.scales.layout(scale)
        text = [files.captions(task)] if config.text is not None else []
        latents = files.latents(config.data.name) / "index.json"
        return [*text, latents] if config.data.latents is not None else text

    def manifests(self, scale: str, task: str) -> list[Path]:
        """What was found of those of a task's datasets that are on disk."""
        files = self.scales.layout(scale)
        return [files.manifest(name) for name in self._task(scale, task).data.on_disk]

    def trained_on(self, scale: str, dataset: str) -> list[Path]:
        """What was found of the dataset that is trained on, if this is its split for evaluation."""
        plan, files = self._of(scale)
        trained = plan.trained_on(dataset)
        return [] if trained is None else [files.manifest(trained)]

    def latents_parts(self, scale: str, dataset: str) -> list[Path]:
        """All parts of a dataset's latents."""
        plan, files = self._of(scale)
        of = plan.scale.execution.latents_jobs
        return [files.latents_part(dataset, number, of) for number in range(1, of + 1)]

    def baselines(
        self, scale: str, task: str, variants: Iterable[str], seeds: Iterable[int]
    ) -> list[Path]:
        """The baselines that runs of these variants with these seeds rest on."""
        plan, files = self._of(scale)
        recipes = sorted({Variant.parse(variant).origin.recipe for variant in variants})
        found = []
        for seed in sorted({plan.baseline_seed(seed) for seed in seeds}):
            for recipe in recipes:
                found.append(files.pretrained_weights(task, seed, recipe))
                if recipe == PAPER:
                    found.append(files.pretrained_state(task, seed))
        return found

    def baseline(self, scale: str, task: str, variant: str, seed: int) -> list[Path]:
        """The baseline that a run rests on."""
        return self.baselines(scale, task, [variant], [seed])

    def whole_runs(
        self, scale: str, task: str, variants: Iterable[str], seeds: Iterable[int]
    ) -> list[Path]:
        """What a job is made from that does all stages of runs."""
        return [
            self.scales.layout(scale).reference(task),
            *self.extractor(scale, task),
            *self.data(scale, task),
            *self.baselines(scale, task, variants, seeds),
        ]

    def bundle(self, scale: str, task: str, variant: str, seed: int) -> list[Path]:
        """What the bundle is made from that ends with a run."""
        bundle = self.scales.bundle(scale, (task, variant, seed))
        return self.whole_runs(scale, task, bundle.variants, bundle.seeds)

    def shards(self, scale: str, task: str, variant: str, seed: int) -> list[Path]:
        """All parts of a run's samples."""
        plan, files = self._of(scale)
        of = plan.scale.execution.sampling_shards
        return [files.shard(task, variant, seed, number, of) for number in range(1, of + 1)]

    def finished(self, scale: str, scope: str) -> list[Path]:
        """The last file that the jobs of all runs of a scope write."""
        plan, files = self._of(scale)
        bundles = self.scales.bundles(scale)
        last = dict.fromkeys(bundles[run].runs[-1] for run in plan.runs(scope))
        return [files.finished(*run) for run in last]

    def measured(self, scale: str, scope: str) -> list[Path]:
        """What a table of numbers gathers: runs, and the convergence of their baselines."""
        plan, files = self._of(scale)
        # Where there are decayed baselines, their runs say it.
        convergence = [files.convergence(*baseline) for baseline in plan.checked(scope)]
        return [*self.finished(scale, scope), *convergence]

    def numbers(self, scale: str, study: str) -> list[Path]:
        """The numbers that a study's page shows."""
        plan, files = self._of(scale)
        if study in plan.parameter_studies:
            return [files.parameters_table]
        return [files.results_table(study), files.baselines_table(study)]

    def artifacts(self, scale: str, study: str) -> list[Path]:
        """What figures draw beside numbers: samples, gates, logs, which runs write."""
        plan = self.scales.plan(scale)
        if study in plan.parameter_studies or not plan.study(study).figures:
            return []
        return self.finished(scale, study)

    def speed(self, scale: str) -> list[Path]:
        """What the timings are made from."""
        plan, found = self.scales.plan(scale), []
        for task in plan.speed_arms():
            found += self.baselines(scale, task, ["baseline"], plan.seeds[:1])
            found += self.data(scale, task)
        return found

    def pages(self, scale: str, target: str) -> list[Path]:
        """The tables of all studies with a target, and the folders of their figures."""
        plan, files = self._of(scale)
        studies = plan.targeted(target)
        tables = [files.tables / f"{study}.{suffix}" for study in studies for suffix in FORMATS]
        return [*tables, *(files.figures(study) for study in studies)]

    def tables(self, scale: str) -> list[Path]:
        """All that target ``tables`` asks for."""
        plan, files = self._of(scale)
        numbers = [files.results_table("tables"), files.baselines_table("tables")]
        own = [files.verdicts("claims")] if "claims" in plan.judged else []
        return [*self.pages(scale, "tables"), *own, *numbers, files.tracking_summary("tables")]

    def studies(self, scale: str) -> list[Path]:
        """All that target ``studies`` asks for."""
        plan, files = self._of(scale)
        own = [files.verdicts("hypotheses")] if "hypotheses" in plan.judged else []
        return [*self.pages(scale, "studies"), *own, files.tracking_summary("studies")]
