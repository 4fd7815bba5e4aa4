"""The plan: an expanded scale that knows what each of its products depends on."""

from dmp.config import content_hash
from dmp.studies.expanded import Expanded


class Plan(Expanded):
    """An expanded scale, with the fingerprint of each product that is not one run's.

    A fingerprint is a hash of all that decides a product's bits, besides what it is computed from;
    those of runs are :meth:`dmp.studies.run.RunConfig.fingerprint`.
    """

    def source_fingerprint(self, dataset: str) -> str:
        """Return what the check of a dataset on disk depends on."""
        return content_hash(self.source(dataset))

    def latents_fingerprint(self, dataset: str) -> str:
        """Return what the latents of a dataset depend on."""
        data = self.encoded(dataset)
        return content_hash([data.source, data.latents, self.scale.numerics])

    def extractor_fingerprint(self, dataset: str) -> str:
        """Return what the training of a dataset's own classifier depends on."""
        tasks = [t for t in self.scale.tasks.values() if t.data.name == dataset]
        first = tasks[0]
        return content_hash(
            [
                first.data.model_dump(),
                first.evaluation.extractor.model_dump(),
                self.scale.numerics,
            ]
        )

    def reference_fingerprint(self, task: str) -> str:
        """Return what the reference features of a task depend on."""
        config = self.scale.tasks[task]
        return content_hash(
            [
                config.data.model_dump(),
                config.evaluation.reference,
                config.evaluation.reference_file,
                config.evaluation.reference_features,
                config.evaluation.extractor.model_dump(),
                config.evaluation.second_opinion and config.evaluation.second_opinion.model_dump(),
                self.scale.numerics,
            ]
        )

    def captions_fingerprint(self, task: str) -> str:
        """Return what the embeddings of a task's captions depend on."""
        config = self.scale.tasks[task]
        text = config.text and config.text.model_dump()
        return content_hash([config.data.model_dump(), text, self.scale.numerics])

    def results_fingerprint(self, scope: str = "") -> str:
        """Return what a table of numbers depends on: its runs, and its baselines' convergence."""
        runs = [[*run, self.fingerprint("metrics", *run)] for run in self.runs(scope)]
        baselines = [
            [
                *(task, seed, self.fingerprint("convergence", task, seed=seed)),
                self.scale.tasks[task].pretraining.convergence_tolerance,
            ]
            for task, seed in self.checked(scope)
        ]
        return content_hash([runs, baselines])

    def speed_fingerprint(self) -> str:
        """Return what the timings depend on, besides the baselines."""
        return content_hash(self.speed_arms())

    def tracking_fingerprint(self, target: str) -> str:
        """Return what MLflow is handed, besides the numbers and the pages."""
        return content_hash([list(run) for run in self.runs(target)])

    def claims_fingerprint(self) -> str:
        """Return what the verdicts depend on, besides the numbers."""
        claims = None if self.claims is None else self.claims.model_dump(mode="json")
        return content_hash([claims, self.scale.conclusive, self.scale.not_run])

    def hypotheses_fingerprint(self) -> str:
        """Return what the verdicts on hypotheses depend on, besides the numbers."""
        hypotheses = None if self.hypotheses is None else self.hypotheses.model_dump(mode="json")
        return content_hash([hypotheses, self.scale.conclusive, self.scale.not_run])

    def parameters_fingerprint(self) -> str:
        """Return what the parameter counts depend on."""
        return content_hash({k: v.model_dump() for k, v in self.parameter_studies.items()})

    def study_fingerprint(self, name: str) -> str:
        """Return what the rendering of a study depends on, besides the numbers."""
        study = self.parameter_studies.get(name) or self.study(name)
        descriptions = {
            k: [part for part in (t.stands_for, t.description, t.caution) if part]
            for k, t in self.scale.tasks.items()
        }
        heading = [self.scale.title, self.scale.conclusive, descriptions]
        return content_hash([study.model_dump(mode="json"), heading])
