"""What ``ablations/claims.yaml`` and ``hypotheses.yaml`` may say: claims, and what settles each."""

import math
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from dmp.claims.evidence import AnyEvidence, Evidence, Judged, Run, VariantName
from dmp.config import Strict, nearest
from dmp.config.numbers import Percent
from dmp.methods import Variant, find_method, method_names, on_recipe
from dmp.metrics.registry import quantities
from dmp.recipes import PAPER, Recipe


class Claim(Strict):
    """One sentence of the paper, or one hypothesis of ours.

    Attributes:
        id: C01 and so on; H1 and so on for our own.
        statement: in our words.
        remark: what the sources themselves leave open; of a hypothesis, how it is judged.
        contradicted_in_paper: by which numbers the paper contradicts itself; empty if it does not.
        evidence: all of it must hold for the claim to hold.
    """

    id: Annotated[str, Field(pattern=r"^(C\d\d|H\d+)$")]
    statement: str
    location: str = ""
    study: str = ""
    remark: str = ""
    contradicted_in_paper: str = ""
    evidence: Annotated[list[AnyEvidence], Field(min_length=1)]


class Metric(Strict):
    """A metric, which direction is better, and what size of an effect matters.

    Attributes:
        relevant_percent: the smallest relevant effect; left out of a metric whose evidence has one
            of its own each.
        reason: why that one.
    """

    metric: str
    better: Literal["lower", "higher"]
    relevant_percent: Percent | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _with_its_reason(self) -> Self:
        if self.relevant_percent is not None and not self.reason:
            raise ValueError("relevant_percent needs a reason, which is a sentence")
        return self


class Curve(Strict):
    """Arms with prompts whose loss is drawn against lr·E[w].

    Attributes:
        variants: arms whose average weight of a prompt is known.
    """

    task: str
    variants: Annotated[list[VariantName], Field(min_length=1)]


def with_arms(data: Any, scale: str) -> Any:
    """Return what a file says with each arm's name replaced by the variant that it has at a scale.

    What is not as it has to be stays, for validation to refuse.
    """
    if not isinstance(data, dict):
        return data
    arms, others = data.get("arms"), data.get("arms_at")
    own = others.get(scale) if isinstance(others, dict) else None
    named = (arms if isinstance(arms, dict) else {}) | (own if isinstance(own, dict) else {})

    def spelled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: spelled(value) for key, value in part.items()}
        if isinstance(part, list):
            return [spelled(value) for value in part]
        return named.get(part, part) if isinstance(part, str) else part

    return data | {key: spelled(data[key]) for key in ("claims", "curves") if key in data}


class Claims(Strict):
    """The whole file.

    Attributes:
        arms: variants by a name of ours, which stands for them in evidence and curves.
        arms_at: of a scale, the variants that some of these names have there.
        endpoints: what differences, trends and interactions are tested in; the first is primary.
        further_metrics: those that single pieces of evidence name in place of the endpoints.
        level: the chance of any false verdict on the page, for each endpoint and recipe by itself;
            verdicts for and against share it in halves.
        looks: of a scale, how often its reference is judged on a growing number of baselines;
            once, if it is not named. Whoever adds baselines because claims were left open looks
            once more, and the level of the reference is shared among the looks in equal parts
            (Bonferroni). A run of one's own is another experiment.
        recipes: of the baselines that all evidence is judged on; the first is the one that counts.
        curves: what the figure of lr·E[w] shows, a panel each.
    """

    title: str = "What the paper claims, and what the results say about it"
    arms: dict[str, VariantName] = {}
    arms_at: dict[str, dict[str, VariantName]] = {}
    endpoints: Annotated[list[Metric], Field(min_length=1)]
    further_metrics: list[Metric] = []
    level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    looks: dict[str, Annotated[int, Field(ge=1, le=20)]] = {}
    recipes: Annotated[list[Recipe], Field(min_length=1)] = [PAPER]
    claims: Annotated[list[Claim], Field(min_length=1)]
    curves: list[Curve] = []
    _looks_here: int = PrivateAttr(default=1)

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        metrics = [entry.metric for entry in (*self.endpoints, *self.further_metrics)]
        for what, names in (("claim", [c.id for c in self.claims]), ("metric", metrics)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} '{twice[0]}' is listed twice; list it once")
        # To ask for all names of methods looks through what is installed: once, and not in vain.
        for name in set(self.arms).intersection(method_names()) if self.arms else ():
            raise ValueError(f"arms: '{name}' is the name of a method; choose another")
        for scale, names in self.arms_at.items():
            for name in names:
                if name not in self.arms:
                    arms = nearest(name, self.arms)
                    raise ValueError(f"arms_at.{scale}: unknown arm '{name}': {arms}")
        known = quantities()
        for name, entry in self._listed.items():
            if name not in known:
                raise ValueError(f"unknown metric '{name}': {nearest(name, known)}")
            best = known[name].better
            if best not in (entry.better, ""):
                raise ValueError(f"metric '{name}': better = {entry.better}, but {best} is better")
        for claim, number, evidence in self.evidence():
            where = f"{claim.id}, evidence {number}"
            metric = getattr(evidence, "metric", None)
            if metric is not None and metric not in metrics:
                raise ValueError(f"{where}: unknown metric '{metric}': {nearest(metric, metrics)}")
            if not isinstance(evidence, Judged):
                continue
            for name, _ in evidence.metrics([entry.metric for entry in self.endpoints]):
                if math.isnan(self.relevant(evidence, name)):
                    raise ValueError(
                        f"{where}: nothing says which effect on '{name}' is relevant; give "
                        f"relevant_percent, here or with the metric"
                    )
        return self

    @property
    def primary(self) -> str:
        """The primary endpoint."""
        return self.endpoints[0].metric

    @property
    def each_way(self) -> float:
        """The level of the verdicts for, and of those against: half of the whole, at each look."""
        return self.level / 2 / self.looks_here

    @property
    def looks_here(self) -> int:
        """How often the reference of the scale was judged that :meth:`at` has given."""
        return self._looks_here

    def at(self, scale: str) -> "Claims":
        """Return the file as it judges the reference of a scale."""
        found = self.model_copy()
        found._looks_here = self.looks.get(scale, 1)
        return found

    def only(self, claim: str) -> "Claims":
        """Return the file with one claim alone, and no curves.

        Raises:
            KeyError: there is none of that id.
        """
        found = [each for each in self.claims if each.id == claim]
        if not found:
            raise KeyError(claim)
        return self.model_copy(update={"claims": found, "curves": []})

    def sign(self, metric: str) -> int:
        """Return -1 if a lower value of a listed metric is better, else 1."""
        return -1 if metric in self._listed and self._listed[metric].better == "lower" else 1

    def relevant(self, evidence: Evidence, metric: str) -> float:
        """Return the smallest relevant effect in percent; NaN where there is none."""
        found = evidence.relevant_percent if isinstance(evidence, Judged) else None
        if found is None and metric in self._listed:
            found = self._listed[metric].relevant_percent
        return math.nan if found is None else found

    def on_recipes(self) -> Iterator[tuple[Recipe, Recipe, Claim, int, Evidence]]:
        """Yield what is judged: the column it counts for, its own recipe, and as :meth:`evidence`.

        On a further recipe, evidence is left out that rests on no runs, that is about one recipe
        alone, or in which the baseline's own training goes on: a rate of 0 has ended it.
        """
        for column in self.recipes:
            for claim, number, evidence in self.evidence():
                if column != self.recipes[0]:
                    runs = evidence.runs()
                    methods = {find_method(Variant.parse(variant).method) for _, variant in runs}
                    if not runs or evidence.recipe or any(m.continues for m in methods):
                        continue
                yield column, evidence.recipe or column, claim, number, evidence

    def evidence(self) -> Iterator[tuple[Claim, int, Evidence]]:
        """Yield every piece of evidence with its claim and its number in it, from 1."""
        for claim in self.claims:
            for number, evidence in enumerate(claim.evidence, start=1):
                yield claim, number, evidence

    def runs(self, without: Collection[str] = ()) -> list[Run]:
        """Return every (task, variant) that any evidence needs, each once, in the file's order.

        Args:
            without: ids of claims that are not tested.
        """
        runs: dict[Run, None] = {}
        for _, own, claim, _, each in self.on_recipes():
            if claim.id in without:
                continue
            runs |= dict.fromkeys((task, on_recipe(v, own)) for task, v in each.runs())
        drawn = ((curve.task, variant) for curve in self.curves for variant in curve.variants)
        return list(runs | dict.fromkeys(drawn))

    def tasks(self) -> set[str]:
        """Return the tasks that any evidence or curve names."""
        each = (e for _, _, e in self.evidence())
        named = {task for evidence in each for task, _ in (*evidence.runs(), *evidence.timed())}
        return named | {curve.task for curve in self.curves}

    @property
    def _listed(self) -> dict[str, Metric]:
        return {entry.metric: entry for entry in (*self.endpoints, *self.further_metrics)}
