"""The plan: which unique runs a scale's studies need, and which baselines those rest on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmp.claims.recipe import is_decayed
from dmp.claims.schema import Claims
from dmp.config import (
    BackboneConfig,
    DataConfig,
    SourceConfig,
    TaskConfig,
    TrainingConfig,
    content_hash,
    from_data,
    nearest,
)
from dmp.data.shape import input_shape
from dmp.errors import DMPError
from dmp.methods import NoOptions, Recipe, Variant, find_method
from dmp.metrics.registry import unmeasured
from dmp.studies.checks import (
    NoBaselineError,
    check_datasets,
    check_task,
    resolve_comparisons,
    resolve_variant,
)
from dmp.studies.loading import load_scale, load_studies, read_yaml
from dmp.studies.run import PRETRAINING, RunConfig, RunStage
from dmp.studies.schema import ParameterStudy, Scale, Study

ABLATIONS = Path("ablations")
# Sets of runs that are not one study's; no study may have such a name.
SCOPES = ("tables", "studies", "claims", "hypotheses")
BASELINE = "baseline"
DECAYED_BASELINE = "baseline,recipe=decayed"


@dataclass(frozen=True)
class Plan:
    """A scale and its studies, expanded; every name in it has been checked.

    Attributes:
        name: the scale's name.
        scale: the scale.
        studies: by id, cells and comparisons spelled out with canonical names of variants.
        parameter_studies: by id; they need no runs.
        claims: what the paper claims, and by which runs that is judged; None where there are none.
        hypotheses: the same of hypotheses of our own.

    A scope is a study's id, ``tables`` for all that the paper shows and claims, ``studies`` for our
    own questions and hypotheses, ``claims`` and ``hypotheses`` for what those are judged by, or
    empty for everything.
    """

    name: str
    scale: Scale
    studies: dict[str, Study]
    parameter_studies: dict[str, ParameterStudy]
    claims: Claims | None = None
    hypotheses: Claims | None = None

    @property
    def seeds(self) -> list[int]:
        """The seeds of every variant."""
        return list(range(self.scale.first_seed, self.scale.first_seed + self.scale.seeds))

    def baseline_seed(self, seed: int) -> int:
        """The baseline that a seed rests on."""
        of = self.scale.baseline_seeds
        return seed if of is None else seed % of

    def study(self, name: str) -> Study:
        """Return a study.

        Raises:
            DMPError: there is no such study.

        """
        if name not in self.studies:
            raise DMPError(f"unknown study '{name}': {nearest(name, self.studies)}")
        return self.studies[name]

    def targeted(self, target: str) -> list[str]:
        """Return the ids of all studies, of runs or parameters, with a target."""
        every = {**self.studies, **self.parameter_studies}
        return sorted(name for name, study in every.items() if study.target == target)

    def variants(self, scope: str = "") -> list[tuple[str, str]]:
        """Return the unique (task, variant) pairs that are run in a scope."""
        pairs: set[tuple[str, str]] = set()
        for claims, scopes in (
            (self.claims, ("", "tables", "claims")),
            (self.hypotheses, ("", "studies", "hypotheses")),
        ):
            if claims is not None and scope in scopes:
                pairs |= set(_judged(claims, self.scale))
        if scope in ("", *SCOPES):
            studies = [s for s in self.studies.values() if scope in ("", s.target)]
        else:
            studies = [self.study(scope)]
        cells = [cell for each in studies for cell in each.cells if not cell.not_run]
        pairs |= {(cell.task, cell.variant) for cell in cells}
        pairs = {(task, variant) for task, variant in pairs if task in self.scale.tasks}
        # What decaying the rate still gains is told beside every table.
        judged = {task for task, _ in pairs if self.has_decayed(task)}
        pairs |= {(task, name) for task in judged for name in (BASELINE, DECAYED_BASELINE)}
        return sorted(pairs)

    def speed_arms(self) -> dict[str, list[str]]:
        """Return, for each task, the variants whose speed the claims compare."""
        arms: dict[str, set[str]] = {}
        for *_, evidence in [] if self.claims is None else self.claims.evidence():
            for task, variant in evidence.timed():
                if task in self.scale.tasks:
                    arms.setdefault(task, set()).add(variant)
        return {task: sorted(variants) for task, variants in sorted(arms.items())}

    def runs(self, scope: str = "") -> list[tuple[str, str, int]]:
        """Return the unique (task, variant, seed) triples of a scope."""
        return [(t, v, seed) for t, v in self.variants(scope) for seed in self.seeds]

    def baselines(self, scope: str = "") -> list[tuple[str, int]]:
        """Return the unique (task, baseline seed) pairs that those runs rest on."""
        return sorted({(t, self.baseline_seed(seed)) for t, _, seed in self.runs(scope)})

    def decayed(self, scope: str = "") -> list[tuple[str, int]]:
        """Return those of these baselines whose decayed siblings say how far they converged."""
        return [(task, seed) for task, seed in self.baselines(scope) if self.has_decayed(task)]

    def has_decayed(self, task: str) -> bool:
        """Whether baselines of a task have siblings of the decayed recipe."""
        return self.scale.tasks[task].pretraining.decay is not None

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
        parsed = resolve_variant(variant, task, self.scale, "variant")
        config = self.scale.tasks[task]
        sampling = config.sampling
        if parsed.sampling.sampling_steps is not None:
            steps = {"steps": parsed.sampling.sampling_steps}
            sampling = sampling.model_copy(update=steps)
        training = _further_training(config, parsed, f"variant '{variant}' of task '{task}'")
        return RunConfig(
            scale=self.name,
            task=task,
            variant=parsed.name,
            seed=seed,
            baseline_seed=self.baseline_seed(seed),
            recipe=parsed.origin.recipe,
            sampling_seed=seed
            if parsed.sampling.sampling_seed is None
            else parsed.sampling.sampling_seed,
            precision=self.scale.precision,
            numerics=self.scale.numerics,
            method=parsed.method,
            options=parsed.options,
            config=config.model_copy(update={"training": training, "sampling": sampling}),
        )

    def pretraining(self, task: str, baseline_seed: int, recipe: Recipe = "paper") -> RunConfig:
        """Return the resolved configuration of a baseline's own training.

        Raises:
            DMPError: unknown task, or it has no such recipe.

        """
        self._task(task)
        if recipe == "decayed" and self.scale.tasks[task].pretraining.decay is None:
            raise DMPError(f"task '{task}' has no decayed baselines: its pretraining has no decay")
        return RunConfig(
            scale=self.name,
            task=task,
            variant=PRETRAINING,
            seed=baseline_seed,
            baseline_seed=baseline_seed,
            recipe=recipe,
            sampling_seed=baseline_seed,
            precision=self.scale.precision,
            numerics=self.scale.numerics,
            method=PRETRAINING,
            options=NoOptions(),
            config=self.scale.tasks[task],
        )

    def fingerprint(self, stage: RunStage, task: str, variant: str = "", seed: int = 0) -> str:
        """Return the fingerprint of what a stage makes; see :meth:`RunConfig.fingerprint`.

        For ``baseline`` and ``convergence``, no variant is needed, and ``seed`` is the baseline's.
        """
        if stage in ("baseline", "convergence"):
            return self.pretraining(task, seed).fingerprint(stage)
        return self.run(task, variant, seed).fingerprint(stage)

    def sources(self) -> dict[str, SourceConfig]:
        """Return the datasets that lie on disk, by name; a split for evaluation is one itself."""
        found = {}
        for data in (task.data for task in self.scale.tasks.values()):
            for name, source in ((data.name, data.source), (data.test_name, data.test)):
                if source is not None:
                    found[name] = source
        return found

    def source(self, name: str) -> SourceConfig:
        """Return a dataset that lies on disk.

        Raises:
            DMPError: no task of the scale has it.

        """
        found = self.sources()
        if name not in found:
            raise DMPError(
                f"no task of scale '{self.name}' has a dataset '{name}' on disk: "
                f"{nearest(name, found) if found else 'all are embedded'}"
            )
        return found[name]

    def encoded(self, name: str) -> DataConfig:
        """Return a dataset that has latents.

        Raises:
            DMPError: no task of the scale has it.

        """
        found = {t.data.name: t.data for t in self.scale.tasks.values() if t.data.latents}
        if name not in found:
            raise DMPError(
                f"no task of scale '{self.name}' has latents of a dataset '{name}'"
                + (f": {nearest(name, found)}" if found else "")
            )
        return found[name]

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
            for task, seed in self.baselines(scope)
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


def load_plan(scale: str, ablations: Path = ABLATIONS, seeds: int | None = None) -> Plan:
    """Read a scale and all studies, check every name and every cell, and expand.

    Args:
        scale: the name of a file in ``scales/``.
        ablations: the folder.
        seeds: how many, in place of the scale's own number.

    Raises:
        DMPError: naming the file, the key, the value and what is accepted.

    """
    loaded = load_scale(ablations, scale)
    if seeds is not None:
        loaded = loaded.model_copy(update={"seeds": seeds})
    for name, task in loaded.tasks.items():
        check_task(name, task, str(ablations / "scales" / f"{scale}.yaml"))
    check_datasets(loaded, str(ablations / "scales" / f"{scale}.yaml"))
    studies, parameter_studies = {}, {}
    for name, study in load_studies(ablations).items():
        if name in SCOPES:
            raise DMPError(
                f"{ablations / 'studies' / name}.yaml: no study may be called '{name}', which is "
                f"the name of a set of studies"
            )
        if isinstance(study, ParameterStudy):
            parameter_studies[name] = study
        elif not study.scales or scale in study.scales:
            studies[name] = _resolve(study, loaded, str(ablations / "studies" / f"{name}.yaml"))
    claims = _claims(ablations / "claims.yaml", loaded)
    hypotheses = _claims(ablations / "hypotheses.yaml", loaded)
    return Plan(scale, loaded, studies, parameter_studies, claims, hypotheses)


def _claims(path: Path, scale: Scale) -> Claims | None:
    if not path.is_file():
        return None
    claims = from_data(Claims, read_yaml(path), str(path))
    for task, variant in _judged(claims, scale):
        resolve_variant(variant, task, scale, str(path))
    return claims


def _judged(claims: Claims, scale: Scale) -> list[tuple[str, str]]:
    """Return what claims are judged by, as far as this scale has it.

    A claim about a task that it knows nothing of is not tested there, nor one on baselines of a
    recipe that it does not have.
    """
    lacking = undecayed(scale)
    return [
        (task, variant)
        for task, variant in claims.runs()
        if task in scale.tasks and not (task in lacking and is_decayed(variant))
    ]


def undecayed(scale: Scale) -> dict[str, str]:
    """Return the tasks that have baselines of the paper's recipe alone, each with the reason."""
    told = "no decayed recipe at this scale"
    return {name: told for name, task in scale.tasks.items() if task.pretraining.decay is None}


def _further_training(config: TaskConfig, variant: Variant, where: str) -> TrainingConfig:
    """Return the scale's further training with what the variant changes of it.

    Raises:
        DMPError: the changes do not fit the scale.

    """
    scale = config.training.model_dump()
    if find_method(variant.method).continues:
        # The baseline's own training goes on: its batches, its learning rate, its average.
        names = ("batch_size", "learning_rate", "weight_decay", "ema_decay")
        scale |= {name: getattr(config.pretraining, name) for name in names}
    changes = variant.training.model_dump(exclude_none=True)
    factor = changes.pop("learning_rate_factor", 1.0)
    if factor == "one-over-n":
        assert isinstance(config.backbone, BackboneConfig)  # resolve_variant has seen to it
        tokens = (input_shape(config.data).size // config.backbone.patch_size) ** 2
        factor = 1 / tokens
    scale["learning_rate"] *= factor
    scale["iterations"] = max(1, round(scale["iterations"] * changes.pop("iterations_factor", 1)))
    if changes.get("ema_decay") == "baseline":
        changes["ema_decay"] = config.pretraining.ema_decay
    return from_data(TrainingConfig, scale | changes, where)


def _resolve(study: Study, scale: Scale, where: str) -> Study:
    cells = []
    for number, cell in enumerate(study.cells):
        place, reason = f"{where}: cells.{number}", scale.not_run.get(cell.task)
        try:
            variant = resolve_variant(cell.variant, cell.task, scale, place)
        except NoBaselineError as error:
            variant, reason = Variant.parse(cell.variant, place), error.reason
        label = cell.label or variant.name
        changes = {"variant": variant.name, "label": label, "not_run": reason}
        if cell.task in scale.tasks:
            gate = variant.patch is not None and variant.patch.gate != "none"
            changes["unmeasured"] = unmeasured(scale.tasks[cell.task], study.metrics, gate)
        cells.append(cell.model_copy(update=changes))
    names = [(cell.task, cell.variant) for cell in cells]
    for task, variant in names:
        if names.count((task, variant)) > 1:
            raise DMPError(f"{where}: the cell {task}/{variant} is given twice")
    comparisons = resolve_comparisons(study.comparisons, names, f"{where}: comparisons")
    changes: dict[str, Any] = {"cells": cells, "comparisons": comparisons}
    if study.variance is not None:
        (changes["variance"],) = resolve_comparisons([study.variance], names, f"{where}: variance")
    return study.model_copy(update=changes)
