"""What ``ablations/claims.yaml`` may say: the paper's claims, and what would settle each."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dmp.claims.evidence import AnyEvidence, Evidence, Run
from dmp.config import Strict, nearest


class Claim(Strict):
    """One sentence of the paper.

    Attributes:
        id: C01 and so on.
        statement: in our words.
        location: where it stands in the paper.
        study: the study whose question it is; all tests of one study's claims are corrected
            together.
        remark: what the sources themselves leave open.
        contradicted_in_paper: by which numbers the paper contradicts itself; empty if it does not.
        evidence: all of it must hold for the claim to hold.

    """

    id: Annotated[str, Field(pattern=r"^C\d\d$")]
    statement: str
    location: str
    study: str = ""
    remark: str = ""
    contradicted_in_paper: str = ""
    evidence: Annotated[list[AnyEvidence], Field(min_length=1)]


class Metric(Strict):
    """A metric, and which direction is better."""

    metric: str
    better: Literal["lower", "higher"]


class Claims(Strict):
    """The whole file.

    Attributes:
        endpoints: what differences, trends and interactions are tested in; the first is primary.
        further_metrics: those that single pieces of evidence name in place of the endpoints.
        level: family-wise error rate over the claims of a study, for each endpoint by itself.
        claims: the claims.

    """

    endpoints: Annotated[list[Metric], Field(min_length=1)]
    further_metrics: list[Metric] = []
    level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    claims: Annotated[list[Claim], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        metrics = [entry.metric for entry in (*self.endpoints, *self.further_metrics)]
        for what, names in (("claim", [c.id for c in self.claims]), ("metric", metrics)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} '{twice[0]}' is listed twice; list it once")
        for claim, number, evidence in self.evidence():
            metric = getattr(evidence, "metric", None)
            if metric is not None and metric not in metrics:
                raise ValueError(
                    f"{claim.id}, evidence {number}: unknown metric '{metric}': "
                    f"{nearest(metric, metrics)}"
                )
        return self

    @property
    def primary(self) -> str:
        """The primary endpoint."""
        return self.endpoints[0].metric

    def sign(self, metric: str) -> int:
        """Return -1 if a lower value of a listed metric is better, else 1."""
        lower = (e.metric for e in (*self.endpoints, *self.further_metrics) if e.better == "lower")
        return -1 if metric in lower else 1

    def evidence(self) -> Iterator[tuple[Claim, int, Evidence]]:
        """Yield every piece of evidence with its claim and its number in it, from 1."""
        for claim in self.claims:
            for number, evidence in enumerate(claim.evidence, start=1):
                yield claim, number, evidence

    def runs(self) -> list[Run]:
        """Return every (task, variant) that any evidence needs, each once, in the file's order."""
        return list(dict.fromkeys(run for *_, each in self.evidence() for run in each.runs()))
