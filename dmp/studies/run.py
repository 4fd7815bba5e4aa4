"""A run: one variant of a task, one seed, and the fingerprints of what its stages make."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import SerializeAsAny

from dmp.config import PatchConfig, Strict, TaskConfig, content_hash
from dmp.config.numbers import Seed
from dmp.methods import find_method
from dmp.numerics import Numerics
from dmp.recipes import DECAYED, PAPER, Recipe

# In place of a method's name, for a baseline's own training.
PRETRAINING = "pretraining"
RunStage = Literal["baseline", "convergence", "weights", "samples", "metrics"]


class RunConfig(Strict):
    """Everything that decides the numbers of one run; where and how fast it runs is not in it."""

    scale: str
    task: str
    variant: str
    seed: Seed
    baseline_seed: Seed
    recipe: Recipe = PAPER
    sampling_seed: Seed
    precision: Literal["fp32", "bf16"]
    numerics: Numerics = "native"
    method: str
    options: SerializeAsAny[Strict]
    config: TaskConfig

    def fingerprint(self, stage: "RunStage") -> str:
        """Return the fingerprint of what one stage makes: a hash of all that decides its bits.

        Each stage's includes those of the stages before it. Labels are in none of them; neither is
        how often a training logs, saves its state or is checked for convergence, nor how the work
        is divided among jobs.

        Args:
            stage: ``baseline`` the weights of the baseline that the run rests on; ``convergence``
                the check of that baseline; ``weights`` what further training makes; ``samples``
                and ``metrics`` what follows from these.
        """
        return content_hash(_DECIDED_BY[stage](self))

    @property
    def baseline(self) -> tuple[str, int, Recipe]:
        """The task, the seed and the recipe of the baseline that it rests on."""
        return self.task, self.baseline_seed, self.recipe

    @property
    def hash(self) -> str:
        """The fingerprint of the run's numbers."""
        return self.fingerprint("metrics")

    @property
    def snapshots(self) -> list[int]:
        """Iterations before the last at which the run is evaluated too.

        A patch that is not a no-op at the start is looked at before any training as well.
        """
        method = find_method(self.method)
        if not method.trains:
            return []
        changed = not method.starts_as_no_op(self.options)
        return [0] * changed + self.config.training.snapshots

    @property
    def patch(self) -> PatchConfig | None:
        """The options of the prompts and their gate; None for a method without prompts."""
        return self.options if isinstance(self.options, PatchConfig) else None

    @property
    def batch_losses(self) -> list[str]:
        """The options whose losses mix the images of a batch, as ``key = value``."""
        if self.method == PRETRAINING:
            return []
        return find_method(self.method).batch_losses(self.options)

    @property
    def iterations(self) -> int:
        """Iterations of further training; 0 for the baseline."""
        return self.config.training.iterations if find_method(self.method).trains else 0


# When a training logs and saves its state changes none of its bits.
_RECORDING = {"log_every", "checkpoint_every"}
_CONVERGENCE = {
    "convergence_every", "convergence_checkpoints", "convergence_samples", "convergence_tolerance",
}  # fmt: skip


def _baseline(run: RunConfig) -> dict[str, Any]:
    task = run.config.model_dump(
        mode="json",
        include={
            *("data", "backbone", "diffusion", "pretraining"),
            *("conditioning", "text", "label_dropout"),
        },
    )
    for key in _RECORDING | _CONVERGENCE | {"decay"}:
        del task["pretraining"][key]
    if run.recipe == DECAYED:
        task["branch"] = run.config.pretraining.branch
    how = run.model_dump(mode="json", include={"precision", "numerics"})
    return {**task, "seed": run.baseline_seed, **how}


def _convergence(run: RunConfig) -> dict[str, Any]:
    task = run.config
    # Whoever reads the FIDs judges them: the tolerance decides none of them.
    keys = _CONVERGENCE - {"convergence_tolerance"}
    return {
        "baseline": run.fingerprint("baseline"),
        **task.pretraining.model_dump(mode="json", include=keys),
        "sampling": task.sampling.model_dump(mode="json", exclude={"samples"}),
        **task.evaluation.model_dump(
            mode="json", include={"extractor", "reference", "reference_file"}
        ),
    }


def _weights(run: RunConfig) -> dict[str, Any]:
    training = None
    if run.method == PRETRAINING or find_method(run.method).trains:
        training = run.config.training.model_dump(mode="json", exclude=_RECORDING)
    options = run.options.model_dump(mode="json")
    prompts = isinstance(run.options, PatchConfig)
    found = {"method": run.method, "patch": options if prompts else None, "seed": run.seed}
    if options and not prompts:
        found["options"] = options
    return {"baseline": run.fingerprint("baseline"), **found, "training": training}


def _samples(run: RunConfig) -> dict[str, Any]:
    # Samples are kept as features of these networks.
    networks = {"extractor", "second_opinion"}
    return {
        "weights": run.fingerprint("weights"),
        "sampling_seed": run.sampling_seed,
        "sampling": run.config.sampling.model_dump(mode="json"),
        **run.config.evaluation.model_dump(mode="json", include=networks),
    }


def _metrics(run: RunConfig) -> dict[str, Any]:
    evaluation = run.config.evaluation.model_dump(mode="json")
    if not evaluation["metrics"]:
        del evaluation["metrics"]  # the standard ones alone; records are older than the setting
    return {"samples": run.fingerprint("samples"), "evaluation": evaluation}


_DECIDED_BY: dict[str, Callable[[RunConfig], dict[str, Any]]] = {
    "baseline": _baseline,
    "convergence": _convergence,
    "weights": _weights,
    "samples": _samples,
    "metrics": _metrics,
}
