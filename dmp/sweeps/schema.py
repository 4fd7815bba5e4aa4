"""What the files under ``ablations/sweeps/`` may say."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dmp.config import Strict, nearest
from dmp.config.numbers import Count, Few, Seed, Share
from dmp.config.texts import Line
from dmp.errors import DMPError
from dmp.methods import TrainingOptions, Variant, find_method
from dmp.sweeps.parameters import Parameter

Objective = Literal["fid", "denoising_mse", "added_parameters"]


class Sampler(Strict):
    """What proposes the points.

    ``tpe`` learns from the trials so far (tree-structured Parzen estimator); ``qmc`` spreads them
    evenly (scrambled Sobol points), whatever they gave; parameters with a condition it draws at
    random.
    """

    kind: Literal["tpe", "qmc"] = "tpe"
    seed: Seed = 0
    startup: Count = 10

    @model_validator(mode="after")
    def _startup_is_of_tpe(self) -> Self:
        if self.kind == "qmc" and "startup" in self.model_fields_set:
            raise ValueError("startup has no effect with kind = qmc")
        return self


class Pruning(Strict):
    """Ending a trial early whose held-out denoising loss is above the median at that point.

    Attributes:
        at: shares of the iterations of further training after which the loss is compared.
        startup: so many trials run to the end first.
    """

    at: Annotated[list[Share], Field(min_length=1)]
    startup: Count = 5


class Confirmation(Strict):
    """Runs of the best points with seeds that the search has not seen.

    Attributes:
        points: how many of the best points.
        seeds: how many fresh seeds.
    """

    points: Few = 3
    seeds: Annotated[int, Field(ge=2, le=1000)] = 5


class Sweep(Strict):
    """A search: over what, for what, how long, and how its best points are confirmed.

    Attributes:
        id: the name of the file.
        title: the heading of its table.
        scales: where ``snakemake sweep`` runs it; at every scale if empty.
        task: a task of the scale.
        base: the variant whose options are varied, and that the best points are compared with.
        seeds: a trial is the mean over so many seeds, from the scale's first one on.
        objectives: all of them small. With one, the best is sought; with several, their Pareto
            front.
        sampler: what proposes the points.
        pruning: ends trials early; only with one objective and one seed.
        trials: how many trials end with a result, over all workers; one that was pruned or has
            diverged is a result, a point that cannot exist at the scale is none.
        workers: processes that share the trials.
        notes: printed below the table.
    """

    id: str
    title: Line
    scales: list[str] = []
    task: str
    base: str
    seeds: Few = 1
    objectives: Annotated[list[Objective], Field(min_length=1)]
    sampler: Sampler = Sampler()
    pruning: Pruning | None = None
    trials: Annotated[int, Field(ge=1, le=10**6)]
    workers: Few = 1
    parameters: Annotated[list[Parameter], Field(min_length=1)]
    confirmation: Confirmation = Confirmation()
    notes: list[str] = []

    @property
    def quality(self) -> str:
        """The objective that judges samples or denoising: the first that is not a size."""
        return next(name for name in self.objectives if name != "added_parameters")

    @model_validator(mode="after")
    def _objectives_can_be_sought(self) -> Self:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives = {', '.join(self.objectives)}: one is given twice")
        for key, number in (
            ("workers", self.workers),
            ("confirmation.points", self.confirmation.points),
        ):
            if number > self.trials:
                raise ValueError(f"{key} = {number} is more than the {self.trials} trials")
        if self.objectives == ["added_parameters"]:
            raise ValueError("objectives = added_parameters alone is least without prompts; add "
                             "fid or denoising_mse")  # fmt: skip
        if self.pruning is None:
            return self
        if len(self.objectives) > 1:
            raise ValueError(
                f"pruning needs one objective, not {', '.join(self.objectives)}: a point that "
                f"loses in one may be on the Pareto front by another"
            )
        if self.seeds > 1:
            raise ValueError(f"pruning needs seeds = 1, not {self.seeds}: it sees one training")
        return self

    @model_validator(mode="after")
    def _parameters_are_options(self) -> Self:
        try:
            base = Variant.parse(self.base, "base")
        except DMPError as error:
            raise ValueError(str(error)) from error
        method = find_method(base.method)
        accepted = {*method.options.model_fields, *TrainingOptions.model_fields} - method.fixed
        fixed = base.differences()
        seen: list[str] = []
        for parameter in self.parameters:
            name = parameter.name
            if name not in accepted:
                raise ValueError(f"unknown parameter '{name}': {nearest(name, accepted)}")
            if name in seen:
                raise ValueError(f"parameter '{name}' is given twice")
            if name in fixed:
                raise ValueError(f"parameter '{name}' is fixed by base = {self.base}")
            for other in parameter.when:
                if other not in seen:
                    above = nearest(other, seen) if seen else "there are none"
                    raise ValueError(
                        f"parameter '{name}': when.{other}: not a parameter above this one: {above}"
                    )
            seen.append(name)
        return self
