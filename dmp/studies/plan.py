"""The plan: a scale and its studies, which unique runs they need, and which baselines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dmp.claims.schema import Claims
from dmp.config import DataConfig, SourceConfig, TaskConfig, nearest
from dmp.errors import DMPError
from dmp.methods import NoOptions
from dmp.recipes import DECAYED, PAPER, Recipe
from dmp.studies.checks import resolve_variant
from dmp.studies.further import further_training
from dmp.studies.judged import judged_by, left_out
from dmp.studies.run import PRETRAINING, RunConfig, RunStage
from dmp.studies.schema import ParameterStudy, Scale, Study

ABLATIONS = Path("ablations")
CLAIMS, HYPOTHESES = "claims", "hypotheses"
# The target that each belongs to.
JUDGED_WITH = {CLAIMS: "tables", HYPOTHESES: "studies"}
# Sets of runs that are not one study's; no study may have such a name.
SCOPES = ("tables", "studies", CLAIMS, HYPOTHESES)
BASELINE = "baseline"
DECAYED_BASELINE = "baseline,recipe=decayed"


@dataclass(frozen=True)
class Plan:
    """A scale and its studies; every name in it has been checked.

    Attributes:
        studies: by id, cells and comparisons spelled out with canonical names of variants.
        parameter_studies: by id; they need no runs.
        claims: what the paper claims, and by which runs that is judged; None where there are none.
        hypotheses: the same of hypotheses of our own.
        left_out: studies that are not run at this scale, each with the reason.

    A scope is a study's id, ``tables`` for all that the paper shows and claims, ``studies`` for our
    own questions and hypotheses, ``claims`` and ``hypotheses`` for what those are judged by, the id
    of one of them, such as ``H5``, for what it alone is judged by, or empty for everything.
    """

    name: str
    scale: Scale
    studies: dict[str, Study]
    parameter_studies: dict[str, ParameterStudy]
    claims: Claims | None = None
    hypotheses: Claims | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def judged(self) -> dict[str, Claims]:
        """What has verdicts, by the scope whose runs it is judged by."""
        found = {CLAIMS: self.claims, HYPOTHESES: self.hypotheses}
        return {name: claims for name, claims in found.items() if claims is not None}

    @property
    def judged_one_by_one(self) -> dict[str, str]:
        """The ids of all claims and hypotheses, each with ``claims`` or ``hypotheses``."""
        return {each.id: name for name, claims in self.judged.items() for each in claims.claims}

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
            DMPError: there is no such study, or the scale leaves it out.
        """
        if name in self.left_out:
            raise DMPError(
                f"study '{name}' is not run at scale '{self.name}': {self.left_out[name]}"
            )
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
        for name, claims in self.judged.items():
            if scope in ("", JUDGED_WITH[name], name):
                pairs |= set(judged_by(claims, self.scale))
        if page := self.judged_one_by_one.get(scope):
            pairs |= set(judged_by(self.judged[page].only(scope), self.scale))
            studies = []
        elif scope in ("", *SCOPES):
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
        if self.claims is None:
            return {}
        arms: dict[str, set[str]] = {}
        absent = left_out(self.claims, self.scale)
        for claim, _, evidence in self.claims.evidence():
            for task, variant in evidence.timed():
                if task in self.scale.tasks and claim.id not in absent:
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

    def checked(self, scope: str = "") -> list[tuple[str, int]]:
        """Return the others, whose convergence is judged by FIDs on the way to the end."""
        return [(task, seed) for task, seed in self.baselines(scope) if not self.has_decayed(task)]

    def has_decayed(self, task: str) -> bool:
        """Whether baselines of a task have siblings of the decayed recipe."""
        return self.scale.tasks[task].pretraining.decay is not None

    def _task(self, task: str) -> TaskConfig:
        if task in self.scale.not_run:
            reason = self.scale.not_run[task]
            raise DMPError(f"task '{task}' is not run at scale '{self.name}': {reason}")
        if task not in self.scale.tasks:
            raise DMPError(f"unknown task '{task}': {nearest(task, self.scale.tasks)}")
        return self.scale.tasks[task]

    def run(self, task: str, variant: str, seed: int) -> RunConfig:
        """Return the resolved configuration of one run.

        Raises:
            DMPError: unknown task or variant, or a combination that cannot be built.
        """
        config = self._task(task)
        parsed = resolve_variant(variant, task, self.scale, "variant")
        sampling, asked = config.sampling, parsed.sampling
        if asked.sampling_steps is not None:
            sampling = sampling.model_copy(update={"steps": asked.sampling_steps})
        training = further_training(config, parsed, f"variant '{variant}' of task '{task}'")
        return RunConfig(
            scale=self.name,
            task=task,
            variant=parsed.name,
            seed=seed,
            baseline_seed=self.baseline_seed(seed),
            recipe=parsed.origin.recipe,
            sampling_seed=seed if asked.sampling_seed is None else asked.sampling_seed,
            precision=self.scale.precision,
            numerics=self.scale.numerics,
            method=parsed.method,
            options=parsed.options,
            config=config.model_copy(update={"training": training, "sampling": sampling}),
        )

    def pretraining(self, task: str, baseline_seed: int, recipe: Recipe = PAPER) -> RunConfig:
        """Return the resolved configuration of a baseline's own training.

        Raises:
            DMPError: unknown task, or it has no such recipe.
        """
        config = self._task(task)
        if recipe == DECAYED and not self.has_decayed(task):
            raise DMPError(f"task '{task}' has no decayed baselines: its pretraining has no decay")
        return RunConfig(
            scale=self.name,
            task=task,
            variant=PRETRAINING if recipe == PAPER else f"{PRETRAINING},recipe={recipe}",
            seed=baseline_seed,
            baseline_seed=baseline_seed,
            recipe=recipe,
            sampling_seed=baseline_seed,
            precision=self.scale.precision,
            numerics=self.scale.numerics,
            method=PRETRAINING,
            options=NoOptions(),
            config=config,
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
        found: dict[str, SourceConfig] = {}
        for task in self.scale.tasks.values():
            found |= task.data.on_disk
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

    def trained_on(self, name: str) -> str | None:
        """Return the dataset whose split for evaluation ``name`` is; None if it is none."""
        tests = (task.data for task in self.scale.tasks.values() if task.data.test)
        return next((data.name for data in tests if data.test_name == name), None)

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
