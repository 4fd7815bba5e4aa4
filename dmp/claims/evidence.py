"""What a kind of evidence is: its keys in ``claims.yaml``, its test, and its words.

A kind is one file in :mod:`dmp.claims.kinds`, or in another package that names it as an entry point
of the group ``dmp.evidence``. Every command reads the claims, so these files import NumPy, pandas
and SciPy only where they measure.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, model_validator

from dmp.claims.measurement import Measurement
from dmp.config import Strict, from_data
from dmp.config.numbers import Percent, Printed
from dmp.errors import DMPError
from dmp.methods import Variant
from dmp.recipes import Recipe
from dmp.registry import Registry
from dmp.statistics.formatting import format_number
from dmp.statistics.labels import metric_name

if TYPE_CHECKING:
    from dmp.claims.numbers import Numbers

Run = tuple[str, str]


def canonical(text: str) -> str:
    """Return the canonical name of a variant.

    Raises:
        ValueError: it is not one.
    """
    try:
        return Variant.parse(text).name
    except DMPError as error:
        raise ValueError(str(error).removeprefix("variant: ")) from error


VariantName = Annotated[str, AfterValidator(canonical)]
PrintedPair = Annotated[tuple[Printed, Printed], Field(strict=False)]


class Evidence(Strict):
    """A piece of evidence; each kind is a subclass.

    Attributes:
        reason: why the evidence is as it is.
        recipe: of the baselines, where it is about one recipe alone; those that the claims are
            judged on if left out.
        in_endpoints: whether it is tested in every endpoint, or in its ``metric`` if it names one.
        own_metric: otherwise, what it is about; the name of the kind if left out.
    """

    test: str
    reason: str = ""
    recipe: Recipe | None = None
    in_endpoints: ClassVar[bool] = False
    own_metric: ClassVar[str] = ""

    def metrics(self, endpoints: list[str]) -> list[tuple[str, str]]:
        """Return (metric, endpoint that it counts for) for each row of the table."""
        named = getattr(self, "metric", None)
        if self.in_endpoints and named is None:
            return [(metric, metric) for metric in endpoints]
        return [(named or self.own_metric or self.test, endpoints[0])]

    def runs(self) -> list[Run]:
        """Return the (task, variant) pairs that must be run, on the paper's recipe."""
        return []

    def timed(self) -> list[Run]:
        """Return the (task, variant) pairs whose speed must be measured."""
        return []

    def measure(self, numbers: "Numbers") -> Measurement:
        """Test it.

        Raises:
            Unmeasured: numbers do not exist; see :mod:`dmp.statistics.arms`.
            DMPError: numbers cannot be compared.
        """
        raise NotImplementedError

    def compared(self) -> dict[str, str]:
        """Return what is compared: the columns ``task``, ``variant`` and ``against``."""
        return {}

    def prediction(self) -> str:
        """Return what the claim predicts, in words."""
        return ""

    def observed(self, found: Measurement) -> str:
        """Return what was measured, whatever it says, in words."""
        return lies(found)

    def shown(self, found: Measurement) -> str:
        """Return what the test has shown where the evidence supports the claim, in words."""
        return self.observed(found)

    def refuted(self, found: Measurement) -> str:
        """Return what the test has shown where it refutes a claim without a direction."""
        return self.observed(found)

    def excluded(self, found: Measurement) -> str:
        """Return the relevant effect that a refuted claim of a direction would have had."""
        return f"an effect of {percent(found.relevant)}"


class Judged(Evidence):
    """Evidence that is compared with a smallest relevant effect, or a margin.

    Attributes:
        relevant_percent: that of this evidence, in place of that of its metric.
    """

    relevant_percent: Percent | None = None

    @model_validator(mode="after")
    def _with_its_reason(self) -> Self:
        if self.relevant_percent is not None and not self.reason:
            raise ValueError("relevant_percent needs a reason, which is a sentence")
        return self


class Pair(Judged):
    """A comparison of two variants of a task."""

    task: str
    variant: VariantName
    against: VariantName

    @model_validator(mode="after")
    def _of_two(self) -> Self:
        if self.variant == self.against:
            raise ValueError(f"'{self.variant}' is compared with itself")
        return self

    def runs(self) -> list[Run]:
        """Both variants."""
        return [(self.task, self.variant), (self.task, self.against)]

    def compared(self) -> dict[str, str]:
        """Both variants."""
        return {"task": self.task, "variant": self.variant, "against": self.against}


def percent(value: float) -> str:
    """Return a percentage that was written down: ``1 %``."""
    return f"{value:g} %"


def size(value: float) -> str:
    """Return the size of a measured effect, without its sign: ``3.20 %``."""
    return f"{format_number(abs(value))} %"


def lies(found: Measurement) -> str:
    """Return ``FID is lower by 3.2 %``."""
    side = "higher" if found.effect > 0 else "lower"
    return f"{metric_name(found.metric)} is {side} by {size(found.effect)}"


KINDS: Registry[type[Evidence]] = Registry("dmp.claims.kinds", "dmp.evidence")
register_evidence = KINDS.register


def _of_its_kind(data: Any) -> Evidence:
    if isinstance(data, Evidence):
        return data
    test = data.get("test") if isinstance(data, dict) else None
    if not isinstance(test, str):
        raise ValueError("a mapping with a test is needed, such as {test: difference, ...}")
    try:
        return from_data(KINDS.get(test, "test"), data, test)
    except DMPError as error:
        raise ValueError(str(error)) from error


AnyEvidence = Annotated[SerializeAsAny[Evidence], BeforeValidator(_of_its_kind)]
