"""The plan: which unique runs a scale's studies need, and which baselines those rest on."""

from dataclasses import dataclass
from pathlib import Path

from dmp.config import RunConfig, Variant, content_hash, nearest
from dmp.errors import DMPError
from dmp.studies.checks import check_task, resolve_cell, resolve_comparisons
from dmp.studies.loading import load_scale, load_studies
from dmp.studies.schema import ParameterStudy, Scale, Study

ABLATIONS = Path("ablations")


@dataclass(frozen=True)
class Plan:
    """A scale and its studies, expanded; every name in it has been checked.

    Attributes:
        name: the scale's name.
        scale: the scale.
        studies: by id, cells and comparisons spelled out with canonical names of variants.
        parameter_studies: by id; they need no runs.

    """

    name: str
    scale: Scale
    studies: dict[str, Study]
    parameter_studies: dict[str, ParameterStudy]

    @property
    def seeds(self) -> list[int]:
        """The seeds of every variant."""
        return list(range(self.scale.first_seed, self.scale.first_seed + self.scale.seeds))

    def baseline_seed(self, seed: int) -> int:
        """The baseline that a seed rests on."""
        return seed % self.scale.baseline_seeds

    def study(self, name: str) -> Study:
        """Return a study.

        Raises:
            DMPError: there is no such study.

        """
        if name not in self.studies:
            raise DMPError(f"unknown study '{name}': {nearest(name, self.studies)}")
        return self.studies[name]

    def variants(self, study: str | None = None) -> list[tuple[str, str]]:
        """Return the unique (task, variant) pairs that are run, for one study or for all."""
        studies = [self.study(study)] if study else self.studies.values()
        pairs = {
            (cell.task, cell.variant)
            for each in studies
            for cell in each.cells
            if cell.task in self.scale.tasks
        }
        return sorted(pairs)

    def runs(self, study: str | None = None) -> list[tuple[str, str, int]]:
        """Return the unique (task, variant, seed) triples, for one study or for all."""
        return [(t, v, seed) for t, v in self.variants(study) for seed in self.seeds]

    def baselines(self, study: str | None = None) -> list[tuple[str, int]]:
        """Return the unique (task, baseline seed) pairs that those runs rest on."""
        return sorted({(t, self.baseline_seed(seed)) for t, _, seed in self.runs(study)})

    def _task(self, task: str) -> None:
        if task in self.scale.not_run:
            raise DMPError(f"task '{task}' is not run at scale '{self.name}': "
                           f"{self.scale.not_run[task]}")  # fmt: skip
        if task not in self.scale.tasks:
            raise DMPError(f"unknown task '{task}': {nearest(task, self.scale.tasks)}")

    def run(self, task: str, variant: str, seed: int) -> RunConfig:
        """Return the resolved configuration of one run.

        Raises:
            DMPError: unknown task or variant, or a combination that cannot be built.

        """
        self._task(task)
        parsed = Variant.parse(variant, "variant")
        config = self.scale.tasks[task]
        if parsed.patch is not None:
            try:
                parsed.patch.blocks(config.backbone.depth)
            except ValueError as error:
                raise DMPError(f"variant '{variant}' of task '{task}': {error}") from error
        changes = parsed.training.model_dump(exclude_none=True)
        config = config.model_copy(update={"training": config.training.model_copy(update=changes)})
        return RunConfig(
            scale=self.name,
            task=task,
            variant=parsed.name,
            seed=seed,
            baseline_seed=self.baseline_seed(seed),
            precision=self.scale.precision,
            method=parsed.method,
            patch=parsed.patch,
            config=config,
        )

    def pretraining(self, task: str, baseline_seed: int) -> RunConfig:
        """Return the resolved configuration of a baseline's own training."""
        self._task(task)
        return RunConfig(
            scale=self.name,
            task=task,
            variant="pretraining",
            seed=baseline_seed,
            baseline_seed=baseline_seed,
            precision=self.scale.precision,
            method="pretraining",
            patch=None,
            config=self.scale.tasks[task],
        )

    def slice(self, stage: str, task: str, variant: str = "", seed: int = 0) -> str:
        """Return what one stage of the workflow depends on, as a short text to compare.

        A rule carries it as its parameter, so that an edit reruns just what it changes.
        """
        if stage == "pretraining":
            run = self.pretraining(task, seed).model_dump(mode="json")
            # The baseline exists before the further training and does not depend on it.
            for key in ("training", "stands_for"):
                del run["config"][key]
            return content_hash(run)
        run = self.run(task, variant, seed)
        return run.training_hash if stage == "training" else run.hash

    def extractor_slice(self, dataset: str) -> str:
        """Return what the training of a dataset's own classifier depends on."""
        tasks = [t for t in self.scale.tasks.values() if t.data.name == dataset]
        first = tasks[0]
        return content_hash([first.data.model_dump(), first.evaluation.extractor.model_dump()])

    def reference_slice(self, task: str) -> str:
        """Return what the reference features of a task depend on."""
        config = self.scale.tasks[task]
        return content_hash(
            [
                config.data.model_dump(),
                config.evaluation.reference,
                config.evaluation.extractor.model_dump(),
            ]
        )

    def results_slice(self, study: str | None = None) -> str:
        """Return what the set of runs in a table of numbers depends on."""
        return content_hash([list(run) for run in self.runs(study)])

    def parameters_slice(self) -> str:
        """Return what the parameter counts depend on."""
        return content_hash({k: v.model_dump() for k, v in self.parameter_studies.items()})

    def study_slice(self, name: str) -> str:
        """Return what the rendering of a study depends on, besides the numbers."""
        study = self.parameter_studies.get(name) or self.study(name)
        descriptions = {k: [t.stands_for, t.description] for k, t in self.scale.tasks.items()}
        heading = [self.scale.title, self.scale.conclusive, descriptions]
        return content_hash([study.model_dump(mode="json"), heading])


def load_plan(scale: str, ablations: Path = ABLATIONS) -> Plan:
    """Read a scale and all studies, check every name and every cell, and expand.

    Raises:
        DMPError: naming the file, the key, the value and what is accepted.

    """
    loaded = load_scale(ablations, scale)
    for name, task in loaded.tasks.items():
        check_task(name, task, str(ablations / "scales" / f"{scale}.yaml"))
    studies, parameter_studies = {}, {}
    for name, study in load_studies(ablations).items():
        if isinstance(study, ParameterStudy):
            parameter_studies[name] = study
        else:
            studies[name] = _resolve(study, loaded, str(ablations / "studies" / f"{name}.yaml"))
    return Plan(scale, loaded, studies, parameter_studies)


def _resolve(study: Study, scale: Scale, where: str) -> Study:
    cells = []
    for number, cell in enumerate(study.cells):
        variant = resolve_cell(cell, scale, f"{where}: cells.{number}")
        label = cell.label or variant.name
        reason = scale.not_run.get(cell.task)
        changes = {"variant": variant.name, "label": label, "not_run": reason}
        cells.append(cell.model_copy(update=changes))
    names = [(cell.task, cell.variant) for cell in cells]
    for task, variant in names:
        if names.count((task, variant)) > 1:
            raise DMPError(f"{where}: the cell {task}/{variant} is given twice")
    comparisons = resolve_comparisons(study, where)
    return study.model_copy(update={"cells": cells, "comparisons": comparisons})
